package re2_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/re2"
	"github.com/sluice-dev/sluice/test/proxy"
)

// refused are expressions that a proxy refuses, with part of what is said of them. Go takes most of them.
func refused() map[string]string {
	return map[string]string{
		`/\p{Letter}+`:        `"Letter"`,
		`\p{greek}`:           `"greek"`,
		`[a\P{^greek}]`:       `"greek"`,
		`\p{LC}`:              `"LC"`,
		`\p{Cn}`:              `"Cn"`,
		`\Qa\p{L}\E\p{Punct}`: `"Punct"`,
		`(?!admin).*`:         "invalid or unsupported",
		`(`:                   "missing closing",
		`(?:` + strings.Repeat("ab", 100) + `){900}`:        "32768",
		`(?:(?:[ace]{10}|.x?){10}[02468]{100}){9}[^/]{999}`: "",
	}
}

// taken are expressions that a proxy takes.
func taken() []string {
	return []string{
		`/`, `/v[0-9]+/.*`, `\p{Any}`, `\p{L}+\pN\PZ\p{^Lu}`, `[\p{Greek}\d]*`, `\Q\p{Letter}\E`, `\\p{2}`, `(?i)abc|(?P<x>d|e)+?`, `(?:abc){200}`,
		`[^/]{500}`, strings.Repeat("a?", 400), strings.Repeat("(a|bc)", 100), `(?:[a-f0-9]{8}-?){4}`, `é+[à-ü]`, `(?i)[a-z]{64}é`, `(.*)/(.*)/(.*)`,
		`^(?:\w+\.){3,40}(com|org|net)$`, `(?:a*b*c*){100}`, `(?:\pL{10}){80}`, `((((((a|b)|c)|d)|e)|f)|g){50}`, `(?:a|b|cd|\d\d){0,99}`,
	}
}

func TestCompile_refusesWhatAProxyDoes(t *testing.T) {
	for pattern, says := range refused() {
		_, err := re2.Compile(pattern)
		_, envoy := inEnvoy(t, pattern)
		if (err != nil) != (envoy != nil) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v, want %q; Envoy says %v", pattern, err, says, envoy)
		}
	}
}

func TestCompile_takesWhatAProxyDoes(t *testing.T) {
	for _, pattern := range taken() {
		re, err := re2.Compile(pattern)
		if err != nil || re == nil {
			t.Errorf("%.40q: %v", pattern, err)
		}
		size, err := re2.Size(pattern)
		if err != nil {
			t.Fatal(err)
		}
		is, err := inEnvoy(t, pattern)
		if err != nil || size < is || is > 20 && size > 4*is {
			t.Errorf("%.40q: %d instructions are counted, Envoy has %d: %v", pattern, size, is, err)
		}
	}
}

func TestCompile_saysThatItIsTooLarge(t *testing.T) {
	if _, err := re2.Compile(`(?:` + strings.Repeat("[ace]", 40) + `){999}`); !errors.Is(err, re2.ErrTooLarge) {
		t.Error(err)
	}
}

// inEnvoy lets a real Envoy compile a pattern, and gives the size of the program where it says it: from two instructions on.
func inEnvoy(t *testing.T, pattern string) (size int, err error) {
	t.Helper()
	try := func(most int) string { // what Envoy says against it
		cmd := exec.CommandContext(t.Context(), proxy.Binary(t), "--mode", "validate", "--disable-hot-restart", "--config-yaml", configOf(t, pattern, most))
		out, err := cmd.CombinedOutput()
		if err == nil {
			return ""
		}
		return string(out)
	}
	said := try(1)
	if found := regexp.MustCompile(`program size of (\d+)`).FindStringSubmatch(said); found != nil {
		size, err = strconv.Atoi(found[1])
		if err == nil && size > re2.MaxProgram {
			err = re2.ErrTooLarge
		}
		return size, err
	}
	return 0, fmt.Errorf("%.200s", said[max(0, strings.LastIndex(said, "error initializing")):])
}

// configOf is Envoy's configuration with one route, chosen by a pattern.
func configOf(t *testing.T, pattern string, most int) string {
	t.Helper()
	quoted, err := json.Marshal(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
layered_runtime: {layers: [{name: bounds, static_layer: {re2.max_program_size.error_level: %d}}]}
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /, headers: [{name: x, string_match: {safe_regex: {regex: %s}}}]}, direct_response: {status: 200}}]}]
`, most, quoted)
}
