package pages

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command is one that a page shows.
type command struct {
	page   string
	line   int
	text   string // without a comment behind it; lines that go on are one
	note   string // the comment behind it
	prints string // what the page shows below it; empty: nothing is said
	by     typist
}

// typist says which test types a command.
type typist int

const (
	here     typist = iota // TestPages of this package
	offline                // TestDocs_commandsPrintWhatTheySay of internal/cli, which compares every byte
	tutorial               // test/e2e/tutorial, in terminals
)

func (c command) String() string { return fmt.Sprintf("%s:%d: $ %s", c.page, c.line, c.text) }

// prose are the languages of blocks in which nothing is to be typed.
var prose = []string{"yaml", "json", "jsonl", "text", "scenario"}

// block is what stands apart from the text of a page.
type block struct {
	line  int    // of its first line
	kind  string // what stands behind the fence; empty of one that is indented
	fence bool
	lines []string
}

// blocks takes a page apart.
func blocks(text string) []block {
	lines := strings.Split(text, "\n")
	var out []block
	for i := 0; i < len(lines); i++ {
		b := block{line: i + 2}
		switch b.kind, b.fence = strings.CutPrefix(lines[i], "```"); {
		case b.fence:
			for i++; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
				b.lines = append(b.lines, lines[i])
			}
		case strings.HasPrefix(lines[i], "    ") && (i == 0 || lines[i-1] == ""):
			b.line, b.kind = i+1, ""
			for ; i < len(lines) && (lines[i] == "" || strings.HasPrefix(lines[i], "    ")); i++ {
				b.lines = append(b.lines, strings.TrimPrefix(lines[i], "    "))
			}
			i--
		default:
			continue
		}
		out = append(out, b)
	}
	return out
}

// read gives the commands of a page: what stands behind "$ " in indented blocks and in those of the languages console and sh,
// or all of their lines where none begins so. wrong says which blocks do not tell what they hold.
func read(page, text string) (commands []command, wrong []string) {
	for _, b := range blocks(text) {
		language, info, _ := strings.Cut(b.kind, " ")
		if b.fence && slices.Contains(prose, language) {
			continue
		}
		if b.fence && language != "console" && language != "sh" {
			wrong = append(wrong, fmt.Sprintf("%s:%d: a block of %q: say one of %v, or console or sh where something is typed", page, b.line-1, b.kind, prose))
			continue
		}
		found := b.commands(page)
		if len(found) == 0 || b.fence && language == "console" && !strings.HasPrefix(b.lines[0], "$ ") {
			wrong = append(wrong, fmt.Sprintf("%s:%d: a block that does not begin with a command", page, b.line))
			continue
		}
		for _, c := range found {
			switch {
			case strings.HasPrefix(info, "terminal="):
				c.by = tutorial
			case language == "console" && strings.HasPrefix(c.text, "sluice "):
				c.by = offline
			}
			commands = append(commands, c)
		}
	}
	return commands, wrong
}

var comment = regexp.MustCompile(`\s+# (.*)$`)

func (b block) commands(page string) []command {
	prompts := slices.ContainsFunc(b.lines, func(l string) bool { return strings.HasPrefix(l, "$ ") })
	var out []command
	goesOn := false
	for i, line := range b.lines {
		text, prompted := strings.CutPrefix(line, "$ ")
		last := len(out) - 1
		switch {
		case goesOn:
			out[last].text = strings.TrimSpace(strings.TrimSuffix(out[last].text, "\\")) + " " + strings.TrimSpace(line)
		case prompts && !prompted && last < 0, !prompts && line == "":
			continue
		case prompts && !prompted:
			out[last].prints += line + "\n"
			continue
		default:
			out = append(out, command{page: page, line: b.line + i, text: text})
		}
		goesOn = strings.HasSuffix(line, "\\")
	}
	for i := range out {
		out[i].text, out[i].note, _ = strings.Cut(comment.ReplaceAllString(out[i].text, "\x00$1"), "\x00")
	}
	return out
}

func TestRead_findsCommandsInEveryBlock(t *testing.T) {
	page := strings.ReplaceAll(`# A page

    first --flag \
      --more      # says why
    second

Text

    $ third
    it prints

    and this

Text
    that is no block.

'''console
$ sluice fourth
it prints
$ fifth
'''

'''console terminal=1
$ sixth
'''

'''sh
seventh
'''

'''yaml
kind: Nothing
'''

'''
who knows
'''

'''console
no prompt
'''
`, "'''", "```")
	got, wrong := read("page.md", page)
	want := []command{
		{page: "page.md", line: 3, text: "first --flag --more", note: "says why"}, {page: "page.md", line: 5, text: "second"},
		{page: "page.md", line: 9, text: "third", prints: "it prints\n\nand this\n\n"},
		{page: "page.md", line: 18, text: "sluice fourth", prints: "it prints\n", by: offline}, {page: "page.md", line: 20, text: "fifth"},
		{page: "page.md", line: 24, text: "sixth", by: tutorial}, {page: "page.md", line: 28, text: "seventh"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(wrong) != 2 {
		t.Errorf("wrong = %q, want 2 blocks", wrong)
	}
}
