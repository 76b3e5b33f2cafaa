package convert

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// rule is an expression over the answer of a query, as Sluice writes it.
type rule struct {
	text  string
	notes []string // in what it differs
}

// translate carries an expression over; the error says what has no counterpart. Answers that are no number never reach a
// rule of Sluice: they are errors of the measurement, so whatever asks about them is decided here.
func translate(expression string) (rule, error) {
	tree, err := parser.Parse(expression)
	if err != nil {
		return rule{}, fmt.Errorf("it does not parse: %s", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	t := translator{}
	out, err := t.truth(tree.Node)
	if err != nil {
		return rule{}, err
	}
	return rule{text: out.text, notes: t.notes}, nil
}

type translator struct{ notes []string }

// term is a part of a rule. bind is how strongly it holds together: or 1, and 2, comparison 3, sum 4, product 5, sign 6,
// value 7; known is set where its truth is.
type term struct {
	text  string
	bind  int
	known *bool
}

func (t *translator) note(words string) {
	for _, n := range t.notes {
		if n == words {
			return
		}
	}
	t.notes = append(t.notes, words)
}

func truth(yes bool) term { return term{text: strconv.FormatBool(yes), bind: 7, known: &yes} }

func (x term) in(bind int) string {
	if x.bind < bind {
		return "(" + x.text + ")"
	}
	return x.text
}

// truth is a part that holds or not.
func (t *translator) truth(n ast.Node) (term, error) {
	switch n := n.(type) {
	case *ast.BoolNode:
		return truth(n.Value), nil
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return t.not(n.Node)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&":
			return t.both(n, false)
		case "or", "||":
			return t.both(n, true)
		case "<", "<=", ">", ">=", "==", "!=":
			return t.compare(n)
		}
	case *ast.CallNode, *ast.BuiltinNode:
		name, args := called(n)
		if (name == "isNaN" || name == "isInf") && len(args) == 1 {
			t.note("NaN and infinity are errors of the measurement, not answers: " + name + " never holds")
			return truth(false), nil
		}
	}
	return term{}, fmt.Errorf("%s has no counterpart", n)
}

func (t *translator) not(n ast.Node) (term, error) {
	x, err := t.truth(n)
	if err != nil {
		return term{}, err
	}
	if x.known != nil {
		return truth(!*x.known), nil
	}
	return term{text: "!" + x.in(7), bind: 6}, nil
}

// both joins two parts; with either, one is enough.
func (t *translator) both(n *ast.BinaryNode, either bool) (term, error) {
	left, err := t.truth(n.Left)
	if err != nil {
		return term{}, err
	}
	right, err := t.truth(n.Right)
	if err != nil {
		return term{}, err
	}
	for _, pair := range [][2]term{{left, right}, {right, left}} {
		if k := pair[0].known; k != nil {
			if *k == either {
				return truth(either), nil
			}
			return pair[1], nil
		}
	}
	if either {
		return term{text: left.in(1) + " || " + right.in(1), bind: 1}, nil
	}
	return term{text: left.in(2) + " && " + right.in(2), bind: 2}, nil
}

func (t *translator) compare(n *ast.BinaryNode) (term, error) {
	if count, ok := t.length(n); ok {
		return count, nil
	}
	left, err := t.number(n.Left)
	if err != nil {
		return term{}, err
	}
	right, err := t.number(n.Right)
	if err != nil {
		return term{}, err
	}
	return term{text: left.in(4) + " " + n.Operator + " " + right.in(4), bind: 3}, nil
}

// length decides a comparison of len(result): where a rule is asked there is one sample.
func (t *translator) length(n *ast.BinaryNode) (term, bool) {
	name, args := called(n.Left)
	bound, isNumber := n.Right.(*ast.IntegerNode)
	if name != "len" || len(args) != 1 || !isNumber || !isResult(args[0]) {
		return term{}, false
	}
	t.note("an empty answer is an error of the measurement: len(result) is 1 where a rule is asked")
	holds := map[string]bool{"<": 1 < bound.Value, "<=": 1 <= bound.Value, ">": 1 > bound.Value, ">=": 1 >= bound.Value, "==": bound.Value == 1, "!=": bound.Value != 1}
	return truth(holds[n.Operator]), true
}

func isResult(n ast.Node) bool {
	name, ok := n.(*ast.IdentifierNode)
	return ok && name.Value == "result"
}

// number is a part that has a value.
func (t *translator) number(n ast.Node) (term, error) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if n.Value == "result" {
			return term{text: "value", bind: 7}, nil
		}
	case *ast.MemberNode:
		if i, ok := n.Property.(*ast.IntegerNode); ok && i.Value == 0 && isResult(n.Node) {
			return term{text: "value", bind: 7}, nil
		}
	case *ast.IntegerNode:
		return literal(float64(n.Value)), nil
	case *ast.FloatNode:
		return literal(n.Value), nil
	case *ast.UnaryNode:
		x, err := t.number(n.Node)
		if err == nil && n.Operator == "-" {
			return term{text: "-" + x.in(7), bind: 6}, nil
		}
		if err == nil && n.Operator == "+" {
			return x, nil
		}
	case *ast.BinaryNode:
		bind := map[string]int{"+": 4, "-": 4, "*": 5, "/": 5}[n.Operator]
		left, err := t.number(n.Left)
		if err != nil {
			return term{}, err
		}
		right, err := t.number(n.Right)
		if err != nil {
			return term{}, err
		}
		if bind > 0 {
			return term{text: left.in(bind) + " " + n.Operator + " " + right.in(bind+1), bind: bind}, nil
		}
	case *ast.CallNode, *ast.BuiltinNode:
		name, args := called(n)
		switch {
		case name == "asFloat" && len(args) == 1:
			return t.number(args[0])
		case name == "default" && len(args) == 2:
			t.note("no data is an error of the measurement: the default is never used")
			return t.number(args[0])
		}
	}
	return term{}, fmt.Errorf("%s has no counterpart", n)
}

// called is the function that a node calls.
func called(n ast.Node) (name string, args []ast.Node) {
	switch n := n.(type) {
	case *ast.BuiltinNode:
		return n.Name, n.Arguments
	case *ast.CallNode:
		if f, ok := n.Callee.(*ast.IdentifierNode); ok {
			return f.Value, n.Arguments
		}
	}
	return "", nil
}

// literal is a number as CEL takes it for a double.
func literal(v float64) term {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if v == math.Trunc(v) && !strings.ContainsAny(text, "e.") {
		text += ".0"
	}
	if v < 0 {
		return term{text: text, bind: 6}
	}
	return term{text: text, bind: 7}
}
