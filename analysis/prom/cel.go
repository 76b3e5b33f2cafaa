package prom

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"

	"github.com/sluice-dev/sluice/analysis"
)

// maxCost is what a rule may cost to evaluate, as CEL counts it.
const maxCost = 10_000

// rules are the compiled rules of a condition.
type rules struct {
	pass, fail cel.Program // nil: not given
	stable     bool        // one of them names stable's value
}

// compiled remembers rules: to compile them costs a hundred times as much as to hold a value against them.
type compiled struct {
	mu  sync.Mutex // guards all
	all map[[2]string]*rules
}

// of are the rules of a condition.
func (c *compiled) of(condition analysis.Condition) (*rules, error) {
	key := [2]string{condition.Pass, condition.Fail}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.all[key]; known != nil {
		return known, nil
	}
	made, err := rulesOf(condition)
	if err != nil {
		return nil, err
	}
	if c.all == nil || len(c.all) >= maxCompiled {
		c.all = map[[2]string]*rules{}
	}
	c.all[key] = made
	return made, nil
}

// maxCompiled is how many conditions have their rules remembered.
const maxCompiled = 1000

// rulesOf compiles the rules of a condition: CEL over the doubles value and stable that gives a bool.
func rulesOf(c analysis.Condition) (*rules, error) {
	if c.Pass == "" && c.Fail == "" {
		return nil, errors.New("a condition needs pass, fail or both")
	}
	env, err := cel.NewEnv(cel.Variable(valueName, cel.DoubleType), cel.Variable(stableName, cel.DoubleType))
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	r := &rules{}
	for _, rule := range []struct {
		name, text string
		into       *cel.Program
	}{{"pass", c.Pass, &r.pass}, {"fail", c.Fail, &r.fail}} {
		if rule.text == "" {
			continue
		}
		program, stable, err := compile(env, rule.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.name, err)
		}
		*rule.into, r.stable = program, r.stable || stable
	}
	return r, nil
}

// The variables of rules.
const (
	valueName  = "value"
	stableName = "stable"
)

// compile gives the program of a rule, and whether it names stable.
func compile(env *cel.Env, text string) (program cel.Program, stable bool, err error) {
	tree, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, false, errors.New(clean(err.Error()))
	}
	if !tree.OutputType().IsExactType(cel.BoolType) {
		return nil, false, fmt.Errorf("it gives a %s: want a bool, such as value < 100.0", tree.OutputType())
	}
	for _, named := range tree.NativeRep().ReferenceMap() {
		stable = stable || named.Name == stableName
	}
	program, err = env.Program(tree, cel.CostLimit(maxCost))
	if err != nil {
		return nil, false, errors.New(clean(err.Error()))
	}
	// What costs too much for any value is found before it is needed.
	if _, err := holds(program, map[string]any{valueName: 1.0, stableName: 1.0}); err != nil {
		return nil, false, err
	}
	return program, stable, nil
}

// outcome is what the rules say of the values.
func (r *rules) outcome(value, stable float64) (analysis.Outcome, error) {
	values := map[string]any{valueName: value, stableName: stable}
	pass, fail := false, false
	var err error
	if r.pass != nil {
		if pass, err = holds(r.pass, values); err != nil {
			return "", fmt.Errorf("pass: %w", err)
		}
	}
	if r.fail != nil {
		if fail, err = holds(r.fail, values); err != nil {
			return "", fmt.Errorf("fail: %w", err)
		}
	}
	switch {
	case fail, r.fail == nil && !pass:
		return analysis.OutcomeFail, nil
	case pass, r.pass == nil:
		return analysis.OutcomePass, nil
	default:
		return analysis.OutcomeInconclusive, nil
	}
}

func holds(program cel.Program, values map[string]any) (bool, error) {
	out, _, err := program.Eval(values)
	if err != nil {
		return false, errors.New(clean(err.Error()))
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, errors.New("it gives no bool")
	}
	return yes, nil
}
