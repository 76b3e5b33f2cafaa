package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// World is the traffic of two versions and what goes wrong with it.
type World struct {
	Rate      float64       // requests a second of both versions together
	Stable    float64       // bad share of the stable version
	Canary    float64       // bad share of the canary from Fault on; before, it is as good as stable
	Fault     time.Duration // since the start
	Profile   []Piece       // instead of the four above, where it is not empty
	Recording Recording     // instead of Rate, Stable and Profile, where it is not empty; Canary is then what the fault adds
	Pods      int           // of both versions together, the canary's in proportion to its weight; 0: no outages
	Outages   Trouble       // of single pods
	Incidents Trouble       // that hit both versions
	Latency   Latency
	Scrape    Scrape
}

// Piece is a stretch of time in which rates stay the same; it ends where the next begins, the last one never.
type Piece struct {
	From   time.Duration // since the start
	Rate   float64       // requests a second
	Stable float64       // bad share
	Canary float64
}

// Trouble comes and goes by chance. The zero value never does.
type Trouble struct {
	Rate  float64       // an hour
	Lasts time.Duration // each time
	Share float64       // of requests that fail meanwhile; 0 means all
}

// Scrape says how the counters are read. The zero value is one proxy, scraped every 5 s, never missed.
type Scrape struct {
	Every   time.Duration
	Phase   time.Duration // of the first proxy after the start; further ones are spread over Every
	Missed  float64       // share of scrapes that fail
	Targets int           // proxies that share the traffic
	Loads   bool          // proxies report every second what they sent
}

// withDefaults fills what is not said and turns the simple description into a Profile.
func (w World) withDefaults() World {
	or(&w.Scrape.Every, 5*time.Second)
	or(&w.Scrape.Targets, 1)
	or(&w.Outages.Share, 1)
	or(&w.Incidents.Share, 1)
	if w.Latency.Median != 0 {
		or(&w.Latency.Sigma, 0.5)
		or(&w.Latency.Factor, 1)
	}
	if len(w.Profile) == 0 {
		w.Profile = []Piece{{Rate: w.Rate, Stable: w.Stable, Canary: w.Stable}}
		if w.Fault > 0 {
			w.Profile = append(w.Profile, Piece{From: w.Fault})
		}
		last := &w.Profile[len(w.Profile)-1]
		last.Rate, last.Stable, last.Canary = w.Rate, w.Stable, w.Canary
	}
	return w
}

// at is the piece of a time, and how far it reaches, at most to end.
func (w World) at(now, end time.Duration) (Piece, time.Duration) {
	if len(w.Recording.Pieces) > 0 {
		return w.recorded(now, end)
	}
	piece := w.Profile[0]
	for _, p := range w.Profile {
		if p.From > now {
			return piece, min(end, p.From)
		}
		piece = p
	}
	return piece, end
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Validate says everything that is wrong with the World.
func (w World) Validate() error {
	w = w.withDefaults()
	var errs []error
	share := func(name string, v float64) {
		if !(v >= 0 && v <= 1) {
			errs = append(errs, fmt.Errorf("%s is %v: want a share from 0 to 1", name, v))
		}
	}
	for _, p := range w.Profile {
		if !(p.Rate >= 0 && p.Rate <= 1e6) {
			errs = append(errs, fmt.Errorf("the rate is %v: want 0 to 1e6 requests a second", p.Rate))
		}
		share("stable's bad share", p.Stable)
		share("the canary's bad share", p.Canary)
	}
	if !slices.IsSortedFunc(w.Profile, func(a, b Piece) int { return int(a.From - b.From) }) {
		errs = append(errs, errors.New("the pieces of the profile do not follow each other"))
	}
	share("the share of missed scrapes", w.Scrape.Missed)
	if w.Scrape.Every < time.Second || w.Scrape.Every > 5*time.Minute || w.Scrape.Phase < 0 || w.Fault < 0 {
		errs = append(errs, errors.New("scrapes must be 1s to 5m apart, and no time negative"))
	}
	if w.Scrape.Targets < 1 || w.Scrape.Targets > 1000 || w.Pods < 0 || w.Pods > 10000 {
		errs = append(errs, errors.New("want 1 to 1000 proxies and at most 10000 pods"))
	}
	for name, t := range map[string]Trouble{"outages": w.Outages, "incidents": w.Incidents} {
		share("the share of "+name, t.Share)
		if !(t.Rate >= 0 && t.Rate <= 3600) || t.Lasts < 0 || (t.Rate > 0) != (t.Lasts > 0) {
			errs = append(errs, fmt.Errorf("%s need a rate of at most 3600 an hour and a duration", name))
		}
	}
	errs = append(errs, w.Latency.check())
	if w.Outages.Rate > 0 && w.Pods < 2 {
		errs = append(errs, errors.New("outages need pods: at least one of each version"))
	}
	return errors.Join(errs...)
}
