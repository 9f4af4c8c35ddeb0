// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// The language is a small part of CEL: logic, comparison, membership, string tests and the macros over lists. Regular
// expressions, arithmetic, conversions, floats, bytes, maps and time are left out: each has surprises that an approver who
// reads the rule would not see, and none of the facts needs them.
func subset() *env.LibrarySubset {
	fn := func(name string, ids ...string) *env.Function {
		os := make([]*env.Overload, len(ids))
		for i, id := range ids {
			os[i] = &env.Overload{ID: id}
		}
		return &env.Function{Name: name, Overloads: os}
	}
	return &env.LibrarySubset{
		IncludeMacros: []string{operators.All, operators.Exists, operators.ExistsOne, "existsOne", operators.Filter},
		IncludeFunctions: []*env.Function{
			fn(operators.LogicalAnd, overloads.LogicalAnd),
			fn(operators.LogicalOr, overloads.LogicalOr),
			fn(operators.LogicalNot, overloads.LogicalNot),
			fn(operators.NotStrictlyFalse, overloads.NotStrictlyFalse),
			fn(operators.Conditional, overloads.Conditional),
			fn(operators.Equals, overloads.Equals),
			fn(operators.NotEquals, overloads.NotEquals),
			fn(operators.Less, overloads.LessInt64),
			fn(operators.LessEquals, overloads.LessEqualsInt64),
			fn(operators.Greater, overloads.GreaterInt64),
			fn(operators.GreaterEquals, overloads.GreaterEqualsInt64),
			fn(operators.In, overloads.InList),
			fn(operators.Index, overloads.IndexList),
			fn(operators.Add, overloads.AddInt64, overloads.AddList), // the macros need both
			fn(overloads.Size, overloads.SizeList, overloads.SizeListInst),
			fn(overloads.StartsWith, overloads.StartsWithString),
			fn(overloads.EndsWith, overloads.EndsWithString),
			fn(overloads.Contains, overloads.ContainsString),
		},
	}
}

// variables lists the facts as expressions see them; docs/spec/rule-document.md describes each.
func variables() map[string]*cel.Type {
	return map[string]*cel.Type{
		"operation":       cel.StringType,
		"initiator":       cel.StringType,
		"initiatorKind":   cel.StringType,
		"initiatorGroups": cel.ListType(cel.StringType),
		"evidence":        cel.StringType,
		"initiatorRoles":  cel.ListType(cel.StringType),
		"initiatorLine":   cel.IntType,
		"wallet":          cel.StringType,
		"chain":           cel.StringType,
		"asset":           cel.StringType,
		"destinations":    cel.ListType(destinationType),
		"total":           amountType,
		"feeCap":          amountType,
		"count":           cel.IntType,
		"grant":           cel.StringType,
		"caller":          cel.StringType,
		"gateway":         cel.StringType,
		"functions":       cel.ListType(cel.StringType),
		"mechanisms":      cel.ListType(cel.StringType),
		"maxUses":         cel.IntType,
		"mayImport":       cel.BoolType,
		"compat":          cel.BoolType,
		"class":           cel.StringType,

		"callContract": cel.StringType,
		"callId":       cel.StringType,
		"callFunction": cel.StringType,
		"callSelector": cel.StringType,
		"callDepth":    cel.IntType,
		"messageKind":  cel.StringType,
		"primaryType":  cel.StringType,
	}
}

func newEnv() (*cel.Env, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("types of expressions: %w", err)
	}
	p := provider{reg}
	compare := func(op, id string) cel.EnvOption {
		return cel.Function(op, cel.Overload(id, []*cel.Type{amountType, amountType}, cel.BoolType))
	}
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(p),
		cel.CustomTypeProvider(p),
		cel.StdLib(cel.StdLibSubset(subset())),
		cel.ParserExpressionSizeLimit(MaxExpr),
		cel.ParserRecursionLimit(exprNesting),
		cel.ExpressionNodeLimit(exprNodes),
		cel.HomogeneousAggregateLiterals(),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(2)),
		compare(operators.Less, "less_amount"),
		compare(operators.LessEquals, "less_equals_amount"),
		compare(operators.Greater, "greater_amount"),
		compare(operators.GreaterEquals, "greater_equals_amount"),
		cel.Function("amount", cel.Overload("amount_string", []*cel.Type{cel.StringType}, amountType, cel.UnaryBinding(parseAmount))),
	}
	for name, t := range variables() {
		opts = append(opts, cel.Variable(name, t))
	}
	e, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("language of expressions: %w", err)
	}
	return e, nil
}

func parseAmount(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	u, err := custody.ParseUint256(string(s))
	if err != nil {
		return types.WrapErr(err)
	}
	return amountValue{u}
}

// compileExpr checks an expression and prepares it. The worst cost is worked out before anything runs and bounds each run too.
func compileExpr(e *cel.Env, text string) (cel.Program, error) {
	a, iss := e.Compile(text)
	if iss.Err() != nil {
		first := iss.Errors()[0]
		return nil, fmt.Errorf("line %d column %d: %s", max(first.Location.Line(), 1), max(first.Location.Column(), 0)+1, oneLine(first.Message))
	}
	if a.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("gives %s, must give a bool", a.OutputType())
	}
	if err := checkLiterals(a.NativeRep().Expr()); err != nil {
		return nil, err
	}
	est, err := e.EstimateCost(a, sizes{})
	if err != nil {
		return nil, fmt.Errorf("has no known cost: %w", err)
	}
	if est.Max > MaxExprCost {
		return nil, fmt.Errorf("may cost %d, more than %d: use fewer nested list macros", est.Max, MaxExprCost)
	}
	p, err := e.Program(a, cel.CostLimit(MaxExprCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("can't be prepared: %s", oneLine(err.Error()))
	}
	return p, nil
}

// checkLiterals refuses what the subset of functions can't keep out: literals and types that no fact has, and an amount that
// is not written out as one.
func checkLiterals(e ast.Expr) (err error) {
	refuse := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.LiteralKind:
			switch v := x.AsLiteral().(type) {
			case types.Bool, types.Int:
			case types.String:
				if v == types.String(InternalWallet) {
					err = cmp.Or(err, errInternalWallet)
				}
			default:
				refuse("has a literal of type %s; write whole numbers, strings, true or false", x.AsLiteral().Type().TypeName())
			}
		case ast.MapKind, ast.StructKind:
			refuse("makes a map or a message; expressions only read the facts")
		case ast.CallKind:
			if c := x.AsCall(); c.FunctionName() == "amount" {
				arg := c.Args()[0]
				s, ok := "", false
				if arg.Kind() == ast.LiteralKind {
					s, ok = arg.AsLiteral().Value().(string)
				}
				if !ok {
					refuse(`amount() takes a literal, for instance amount("1000000")`)
				} else if _, e := custody.ParseUint256(s); e != nil {
					refuse("%v", e)
				}
			}
		}
	}))
	return err
}

// sizes bounds what the cost of an expression depends on.
type sizes struct{}

// EstimateSize gives the largest size of a fact.
func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	path := n.Path()
	if len(path) == 1 {
		switch path[0] {
		case "destinations":
			return &checker.SizeEstimate{Max: request.MaxOutputs}
		case "initiatorGroups":
			return &checker.SizeEstimate{Max: MaxGroups}
		case "initiatorRoles":
			return &checker.SizeEstimate{Max: uint64(len(request.Roles()))}
		case "functions", "mechanisms":
			return &checker.SizeEstimate{Max: request.MaxGrantMechanisms}
		}
	}
	switch t := n.Type(); {
	case t.Kind() == types.StringKind:
		return &checker.SizeEstimate{Max: maxStringChars}
	case t.IsExactType(amountType):
		return &checker.SizeEstimate{Max: 32} // bytes
	case t.IsExactType(destinationType):
		return &checker.SizeEstimate{Max: 3 * maxStringChars}
	default:
		return nil
	}
}

// EstimateCallCost leaves calls to CEL's own estimate.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// oneLine makes CEL's errors, which may draw under the text, fit for one line.
func oneLine(s string) string { return clip(strings.Join(strings.Fields(s), " ")) }

// clip shortens s to MaxObserved bytes at a character's border.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= MaxObserved {
		return s
	}
	s = s[:MaxObserved-3]
	return strings.ToValidUTF8(s, "") + "..."
}
