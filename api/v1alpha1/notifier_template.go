package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"
)

// The bounds of templates, in bytes.
const (
	MaxTemplate = 4 << 10
	MaxLine     = 1 << 10 // of what one gives
)

// NoteLine is what a LineTemplate can speak of.
//
// +kubebuilder:object:generate=false
type NoteLine struct {
	Environment string // of the Notifier
	Kind        string // of the note, such as RolledBack
	Severity    string // Info, Warning or Error
	Mark        string // ▶ ✔ ⚠ ✖
	Namespace   string
	Name        string // of the Rollout, or the Source
	Attempt     int64
	Step        int32
	Steps       int32
	Weight      int32  // of the step, in percent
	Version     string // the attempt is about
	Stable      string // version
	Commit      string // full id
	Author      string
	Subject     string
	Sentence    string // what happened, and by which numbers
	At          string // RFC 3339, in UTC
}

// Parse reads a template: text, fields of NoteLine, if, with, variables, the functions upper, lower, truncate and json,
// comparisons and and, or, not. Loops and templates within templates are refused.
func (t LineTemplate) Parse() (*template.Template, error) {
	if len(t) > MaxTemplate {
		return nil, fmt.Errorf("the template has %d bytes, at most %d", len(t), MaxTemplate)
	}
	out, err := template.New("line").Option("missingkey=error").Funcs(lineFunctions()).Parse(string(t))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(out.Templates()) > 1 {
		return nil, errors.New("define and block are not possible")
	}
	if out.Tree == nil || out.Root == nil {
		return nil, errors.New("the template is empty")
	}
	if err := vetList(out.Root); err != nil {
		return nil, err
	}
	return out, nil
}

// Line gives what the template makes of a note: one line of at most MaxLine bytes, not empty.
func (t LineTemplate) Line(n NoteLine) (string, error) {
	parsed, err := t.Parse()
	if err != nil {
		return "", err
	}
	out := &limited{}
	if err := parsed.Execute(out, n); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	line := strings.TrimSpace(out.String())
	if line == "" {
		return "", errors.New("the template gives nothing")
	}
	return line, nil
}

// limited holds MaxLine bytes.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > MaxLine {
		return 0, fmt.Errorf("the line has more than %d bytes", MaxLine)
	}
	return l.Buffer.Write(b)
}

// maxBetween bounds a text between two functions, in bytes. Each json doubles backslashes: without a bound, a short template
// with many of them would take all memory of the process that sends notes, which is the one that decides.
const maxBetween = 16 << 10

// short gives a text that is within maxBetween.
func short(text string) (string, error) {
	if len(text) > maxBetween {
		return "", fmt.Errorf("a text has more than %d bytes on its way", maxBetween)
	}
	return text, nil
}

func lineFunctions() template.FuncMap {
	return template.FuncMap{
		"upper": func(text string) (string, error) { return short(strings.ToUpper(text)) },
		"lower": func(text string) (string, error) { return short(strings.ToLower(text)) },
		// truncate N TEXT keeps at most N characters.
		"truncate": func(n int, text string) string {
			if n < 1 || utf8.RuneCountInString(text) <= n {
				return text
			}
			return string([]rune(text)[:n-1]) + "…"
		},
		"json": func(v any) (string, error) {
			text, err := json.Marshal(v)
			if err != nil {
				return "", err
			}
			return short(string(text))
		},
	}
}

// allowed reports that a template may call a function.
func allowed(name string) bool {
	switch name {
	case "upper", "lower", "truncate", "json", "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge":
		return true
	}
	return false
}

// vetList refuses what a template of one line does not need, and fields that there are not.
func vetList(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		if err := vetNode(n); err != nil {
			return err
		}
	}
	return nil
}

func vetNode(n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		return vetPipe(n.Pipe)
	case *parse.IfNode:
		return vetBranch(&n.BranchNode)
	case *parse.WithNode:
		return vetBranch(&n.BranchNode)
	}
	return fmt.Errorf("%s is not possible", strings.SplitN(strings.Trim(n.String(), "{}- "), " ", 2)[0])
}

func vetBranch(b *parse.BranchNode) error {
	return errors.Join(vetPipe(b.Pipe), vetList(b.List), vetList(b.ElseList))
}

func vetPipe(p *parse.PipeNode) error {
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			if err := vetArg(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

func vetArg(arg parse.Node) error {
	switch arg := arg.(type) {
	case *parse.PipeNode:
		return vetPipe(arg)
	case *parse.ChainNode:
		return fmt.Errorf("%s is not possible", arg)
	case *parse.IdentifierNode:
		if !allowed(arg.Ident) {
			return fmt.Errorf("there is no function %s", arg.Ident)
		}
	case *parse.FieldNode:
		return vetField(arg.Ident)
	case *parse.VariableNode:
		if arg.Ident[0] == "$" && len(arg.Ident) > 1 {
			return vetField(arg.Ident[1:])
		}
	}
	return nil
}

func vetField(names []string) error {
	if _, known := reflect.TypeFor[NoteLine]().FieldByName(names[0]); !known || len(names) > 1 {
		return fmt.Errorf("there is no field .%s", strings.Join(names, "."))
	}
	return nil
}
