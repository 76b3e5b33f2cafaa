package prom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/sluice-dev/sluice/analysis"
)

// envelope is what every answer of the HTTP API is.
type envelope struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// stream is one series of a matrix.
type stream struct {
	Labels     map[string]string `json:"metric"`
	Samples    []sample          `json:"values"`
	Histograms []json.RawMessage `json:"histograms"`
}

// sample is [seconds, "value"]; any other shape is an error, not a zero.
type sample struct {
	ms    int64
	value float64
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *sample) UnmarshalJSON(text []byte) error {
	inner, opened := bytes.CutPrefix(bytes.TrimSpace(text), []byte("["))
	inner, closed := bytes.CutSuffix(inner, []byte("]"))
	when, value, two := bytes.Cut(inner, []byte(","))
	value = bytes.TrimSpace(value)
	if !opened || !closed || !two || len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return errors.New("a sample is not a time and a quoted value")
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(when)), 64)
	if err != nil || !(seconds > 0 && seconds < 1e12) {
		return fmt.Errorf("a sample has the time %.20q", when)
	}
	v, err := strconv.ParseFloat(string(value[1:len(value)-1]), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("a sample has the value %.20q", value)
	}
	s.ms, s.value = int64(math.Round(seconds*1000)), v
	return nil
}

func (e envelope) rejected() *Failure {
	switch e.ErrorType {
	case "timeout", "canceled":
		return failed(analysis.Timeout, "the server gave up: %s", e.Error)
	default:
		return failed(analysis.QueryRejected, "%s: %s", e.ErrorType, e.Error)
	}
}

// decode reads a matrix out of an answer.
func decode(body []byte) ([]stream, *Failure) {
	var answer envelope
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, notJSON(body, err)
	}
	switch {
	case answer.Status == "error":
		return nil, answer.rejected()
	case answer.Status != "success":
		return nil, failed(analysis.BadResponse, "the answer has the status %.40q", answer.Status)
	case len(answer.Warnings) > 0:
		return nil, failed(analysis.Warnings, "the answer may be partial: %s", answer.Warnings[0])
	case answer.Data.ResultType == "":
		return nil, failed(analysis.BadResponse, "the answer holds no result")
	case answer.Data.ResultType != "matrix":
		return nil, failed(analysis.WrongType, "the answer is a %.40s: want a matrix", answer.Data.ResultType)
	}
	var matrix []stream
	if err := json.Unmarshal(answer.Data.Result, &matrix); err != nil {
		return nil, failed(analysis.BadResponse, "the matrix cannot be read: %v", err)
	}
	if matrix == nil {
		return nil, failed(analysis.BadResponse, "the answer holds no result")
	}
	return matrix, bounds(matrix)
}

func notJSON(body []byte, err error) *Failure {
	switch start := bytes.TrimSpace(body); {
	case len(start) == 0:
		return failed(analysis.BadResponse, "the answer is empty")
	case start[0] == '<':
		return failed(analysis.BadResponse, "the answer is HTML: is there a login page or a proxy in between?")
	default:
		return failed(analysis.BadResponse, "the answer is not whole JSON: %v", err)
	}
}

// bounds refuses what no counters are.
func bounds(matrix []stream) *Failure {
	if len(matrix) > MaxSeries {
		return failed(analysis.TooManySeries, "%d series: at most %d", len(matrix), MaxSeries)
	}
	samples := 0
	for _, s := range matrix {
		samples += len(s.Samples)
		if samples > MaxSamples {
			return failed(analysis.TooLarge, "over %d samples", MaxSamples)
		}
		if len(s.Histograms) > 0 {
			return failed(analysis.WrongType, "%s has native histograms", s.Labels["__name__"])
		}
		for _, p := range s.Samples {
			switch {
			case math.IsNaN(p.value), math.IsInf(p.value, 0):
				return failed(analysis.NotFinite, "%s holds %v", s.Labels["__name__"], p.value)
			case p.value < 0:
				return failed(analysis.NotCounter, "%s holds %v: a counter is never negative", s.Labels["__name__"], p.value)
			}
		}
	}
	return nil
}
