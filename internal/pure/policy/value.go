// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"strongroom/internal/pure/custody"
)

// The types that expressions know besides CEL's own.
var (
	amountType      = types.NewOpaqueType("strongroom.Amount").WithTraits(traits.ComparerType)
	destinationType = types.NewObjectType("strongroom.Destination")
)

// amountValue is an amount in an expression: 256 bits, compared and tested for equality with other amounts only.
type amountValue struct{ u custody.Uint256 }

// ConvertToNative gives the custody.Uint256 and nothing else.
func (a amountValue) ConvertToNative(t reflect.Type) (any, error) {
	if t == reflect.TypeFor[custody.Uint256]() {
		return a.u, nil
	}
	return nil, fmt.Errorf("an amount can't be used as %v", t)
}

// ConvertToType gives the type itself; an amount converts to no other type.
func (a amountValue) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case amountType:
		return a
	case types.TypeType:
		return amountType
	default:
		return types.NewErr("an amount can't be converted to %s", t.TypeName())
	}
}

// Equal compares with another amount; anything else is unequal.
func (a amountValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(amountValue)
	return types.Bool(ok && a.u == o.u)
}

// Compare orders amounts; anything else is an error.
func (a amountValue) Compare(other ref.Val) ref.Val {
	o, ok := other.(amountValue)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(a.u.Cmp(o.u))
}

// Type gives strongroom.Amount.
func (amountValue) Type() ref.Type { return amountType }

// Value gives the amount itself.
func (a amountValue) Value() any { return a }

// destinationValue is one destination in an expression, with the fields of [destinationFields].
type destinationValue struct{ d Destination }

// ConvertToNative is refused: nothing outside an expression needs it.
func (destinationValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a destination can't be used as %v", t)
}

// ConvertToType gives the type itself; a destination converts to no other type.
func (v destinationValue) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case destinationType:
		return v
	case types.TypeType:
		return destinationType
	default:
		return types.NewErr("a destination can't be converted to %s", t.TypeName())
	}
}

// Equal compares with another destination; anything else is unequal.
func (v destinationValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(destinationValue)
	return types.Bool(ok && v.d == o.d)
}

// Type gives strongroom.Destination.
func (destinationValue) Type() ref.Type { return destinationType }

// Value gives the destination itself.
func (v destinationValue) Value() any { return v }

// destinationField gives the type of a field of strongroom.Destination and how to read it.
func destinationField(name string) (*types.Type, func(Destination) ref.Val, bool) {
	switch name {
	case "address":
		return types.StringType, func(d Destination) ref.Val { return types.String(d.Address) }, true
	case "amount":
		return amountType, func(d Destination) ref.Val { return amountValue{d.Amount} }, true
	case "kind":
		return types.StringType, func(d Destination) ref.Val { return types.String(ruleKind(d)) }, true
	case "book":
		return types.StringType, func(d Destination) ref.Val { book, _ := d.usable(); return types.String(book) }, true
	case "counterparty":
		return types.StringType, func(d Destination) ref.Val { _, party := d.usable(); return types.String(party) }, true
	case "standing":
		return types.StringType, func(d Destination) ref.Val { return types.String(d.Kind) }, true
	case "firstUse":
		return types.BoolType, func(d Destination) ref.Val { return types.Bool(d.First) }, true
	case "lookalike":
		return types.StringType, func(d Destination) ref.Val { return types.String(d.Lookalike) }, true
	default:
		return nil, nil, false
	}
}

// ruleKind is a destination's kind as expressions always had it: what is not whitelisted is one_time.
func ruleKind(d Destination) DestinationKind {
	if d.Kind == Whitelisted {
		return Whitelisted
	}
	return OneTime
}

// provider tells the type checker about strongroom.Destination, so that a misspelt field is an error of the document and not
// of a decision.
type provider struct{ *types.Registry }

// FindStructType knows strongroom.Destination and no protobuf message.
func (provider) FindStructType(name string) (*types.Type, bool) {
	if name == destinationType.TypeName() {
		return types.NewTypeTypeWithParam(destinationType), true
	}
	return nil, false
}

// FindStructFieldNames lists the fields of strongroom.Destination.
func (provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == destinationType.TypeName() {
		return []string{"address", "amount", "book", "counterparty", "firstUse", "kind", "lookalike", "standing"}, true
	}
	return nil, false
}

// FindStructFieldType gives a field of strongroom.Destination.
func (provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != destinationType.TypeName() {
		return nil, false
	}
	t, get, ok := destinationField(field)
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:  t,
		IsSet: func(any) bool { return true },
		GetFrom: func(v any) (any, error) {
			d, ok := v.(destinationValue)
			if !ok {
				return nil, fmt.Errorf("%T is not a destination", v)
			}
			return get(d.d), nil
		},
	}, true
}

// NewValue is refused: expressions make no destinations.
func (provider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("an expression can't make a %s", name)
}

// NativeToValue passes our own values through.
func (p provider) NativeToValue(v any) ref.Val {
	if r, ok := v.(ref.Val); ok {
		return r
	}
	return p.Registry.NativeToValue(v)
}
