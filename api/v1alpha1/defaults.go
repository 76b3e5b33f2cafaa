package v1alpha1

import "time"

// Default fills what is left open with the values the API server would fill in, for objects that come from
// somewhere else. What depends on other fields stays open: step names, bakes and promotions, and the fields of metrics.
func (s *RolloutSpec) Default() {
	if len(s.Steps) == 0 {
		s.Steps = []Step{{Weight: 15}, {Weight: 50}, {Weight: 100}}
	}
	s.Analysis.Default()
	set(&s.Capacity.MinReady, 1)
	if s.Capacity.Ratio == nil {
		ratio := int32(50)
		s.Capacity.Ratio = &ratio
	}
	set(&s.Convergence.MinProxies, 1)
	lasts(&s.Convergence.Timeout, time.Minute)
	lasts(&s.ProgressDeadline, 10*time.Minute)
	lasts(&s.MaxDuration, 168*time.Hour)
	set(&s.OnDeadline, DeadlineRollback)
	lasts(&s.WarmDown, 10*time.Minute)
	set(&s.HistoryLimit, 10)
	s.RollbackWindow.Default()
	for i := range s.Windows {
		set(&s.Windows[i].TimeZone, "UTC")
	}
	for i := range s.Steps {
		s.Steps[i].Default()
	}
	if s.Affinity != nil && s.Affinity.Cookie != nil {
		s.Affinity.Cookie.Default()
	}
}

// Default fills what is left open with the values the API server would fill in.
func (w *RollbackWindow) Default() {
	if w.Versions == nil {
		versions := int32(1)
		w.Versions = &versions
	}
	lasts(&w.MaxAge, time.Hour)
}

// Default fills what is left open with the values the API server would fill in.
func (s *Step) Default() {
	if s.Approval != nil {
		set(&s.Approval.Count, 1)
	}
	if s.Mirror != nil && len(s.Mirror.Methods) == 0 {
		s.Mirror.Methods = []HTTPMethod{"GET", "HEAD"}
	}
}

// Default fills what is left open with the values the API server would fill in; the name stays open.
func (c *AffinityCookie) Default() {
	lasts(&c.MaxAge, 24*time.Hour)
	set(&c.Path, "/")
	set(&c.SameSite, SameSiteLax)
	if c.Secure == nil {
		secure := true
		c.Secure = &secure
	}
}

// Default fills what is left open with the values the API server would fill in.
func (a *Analysis) Default() {
	set(&a.FalseRollback, "1%")
	set(&a.FalsePromotion, "5%")
	lasts(&a.MaxDuration, 30*time.Minute)
	set(&a.OnInconclusive, InconclusivePause)
	set(&a.OnBlind, BlindHold)
	lasts(&a.BlindAfter, 10*time.Minute)
}

// Default fills what is left open with the values the API server would fill in.
func (s *SourceSpec) Default() {
	set(&s.Path, ".")
	lasts(&s.Interval, 30*time.Second)
	lasts(&s.Timeout, time.Minute)
	if s.Prune == nil {
		prune := true
		s.Prune = &prune
	}
	set(&s.PruneLimitPercent, 25)
	if s.Webhook != nil {
		set(&s.Webhook.Provider, WebhookGeneric)
	}
	set(&s.OnRewrite, RewriteHold)
	set(&s.DeletionPolicy, DeletionOrphan)
	if s.Verify != nil {
		set(&s.Verify.Mode, VerifyHead)
	}
	if s.WriteBack != nil {
		s.WriteBack.Default()
	}
}

// Default fills what is left open with the values the API server would fill in.
func (w *SourceWriteBack) Default() {
	if w.LastGood == nil {
		keep := true
		w.LastGood = &keep
	}
	set(&w.Revert, RevertNone)
	if w.Author != nil {
		set(&w.Author.Name, "Sluice")
		set(&w.Author.Email, "sluice@localhost")
	}
}

// Default fills what is left open with the values the API server would fill in.
func (s *NotifierSpec) Default() {
	set(&s.MinSeverity, SeverityInfo)
	set(&s.Namespaces, ScopeSame)
	if s.Webhook != nil {
		lasts(&s.Webhook.Timeout, 10*time.Second)
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func lasts(field **Duration, d time.Duration) {
	if *field == nil {
		*field = DurationOf(d)
	}
}
