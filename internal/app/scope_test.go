package app

import (
	"slices"
	"strings"
	"testing"
)

func TestScope_hasTheControllersOwnNamespace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ given, want []string }{
		"all":         {nil, nil},
		"some":        {[]string{"shop", "books"}, []string{"books", "shop", "sluice-system"}},
		"with itself": {[]string{"sluice-system", "shop", "shop"}, []string{"shop", "sluice-system"}},
	} {
		c, err := Config{Namespaces: row.given, Replica: "a", Git: Git{CacheDir: "x"}}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.scope(); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
		if got := within(c.scope()); len(got) != len(row.want) || (got == nil) != (row.want == nil) {
			t.Errorf("%s: the cache holds %v, want %q", name, got, row.want)
		}
	}
}

func TestScope_refusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		config Config
		want   string
	}{
		"no name":    {Config{Namespaces: []string{"shop", "Books"}}, `"Books" is no name of a namespace`},
		"an empty":   {Config{Namespaces: []string{""}}, `"" is no name of a namespace`},
		"other ones": {Config{Namespaces: []string{"shop"}, Git: Git{CrossNamespace: true}}, "exclude each other"},
	} {
		if _, err := row.config.withDefaults(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, row.want)
		}
	}
}
