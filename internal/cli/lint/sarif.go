package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// The parts of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifText    `json:"shortDescription"`
		Full    sarifText    `json:"fullDescription"`
		Help    sarifText    `json:"help"`
		Default sarifDefault `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations,omitempty"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// WriteSARIF writes the report as SARIF 2.1.0. Findings that a comment suppresses are in it, with the reason.
func WriteSARIF(out io.Writer, r view.LintReport, version string) error {
	all := slices.Clone(r.Problems)
	for _, s := range r.Suppressed {
		all = append(all, s.Problem)
	}
	codes := codesOf(all)
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "sluice", Version: version, InformationURI: "https://github.com/sluice-dev/sluice", Rules: []sarifRule{}}
	for _, code := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, ruleOf(code))
	}
	for i, p := range all {
		result := resultOf(p, codes)
		if i >= len(r.Problems) {
			result.Suppressions = []sarifSuppression{{Kind: "inSource", Justification: r.Suppressed[i-len(r.Problems)].Reason}}
		}
		run.Results = append(run.Results, result)
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func ruleOf(code string) sarifRule {
	e, _ := problem.Explain(code)
	return sarifRule{
		ID: code, Short: sarifText{e.Short}, Full: sarifText{e.Problem}, Help: sarifText{e.Text(100)}, Default: sarifDefault{level(e.Severity())},
	}
}

func level(s problem.Severity) string {
	if s == problem.Info {
		return "note"
	}
	return string(s)
}

func resultOf(p problem.Problem, codes []string) sarifResult {
	sum := sha256.Sum256([]byte(p.Code + "\x00" + p.Object + "\x00" + p.Field + "\x00" + p.Path))
	result := sarifResult{
		RuleID: p.Code, RuleIndex: slices.Index(codes, p.Code), Level: level(p.Severity), Message: sarifText{sentence(p)},
		Fingerprints: map[string]string{"objectAndField/v1": hex.EncodeToString(sum[:8])},
	}
	var at sarifLocation
	if p.Path != "" {
		at.Physical = &sarifPhysical{Artifact: sarifArtifact{(&url.URL{Path: p.Path}).String()}}
		if p.Line > 0 {
			at.Physical.Region = &sarifRegion{StartLine: p.Line, StartColumn: p.Column}
		}
	}
	if p.Object != "" {
		name := p.Object
		if p.Field != "" {
			name += " " + p.Field
		}
		at.Logical = []sarifLogical{{FullyQualifiedName: name, Kind: "object"}}
	}
	if at.Physical != nil || at.Logical != nil {
		result.Locations = []sarifLocation{at}
	}
	return result
}
