// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// errMechanism says that a mechanism is not offered, or not for the function.
var errMechanism = ep11.Fail(ep11.CKR_MECHANISM_INVALID, "the mechanism is not listed for this function")

// listed finds a mechanism that is offered for a function, or with 0 at all: with code for it, and for a type of key whose control point is on.
func (w *work) listed(mechanism, flag uint64) (ep11.Row, error) {
	i := slices.IndexFunc(w.engine.offers, func(r ep11.Row) bool { return r.Mechanism == mechanism })
	if i < 0 || flag != 0 && w.engine.offers[i].Flags&flag == 0 || !w.pointed(mechanism) {
		return ep11.Row{}, errMechanism
	}
	return w.engine.offers[i], nil
}

// pointed says whether a mechanism can be used with any type of key at all.
func (w *work) pointed(mechanism uint64) bool {
	keyed := false
	for _, r := range w.engine.rows[mechanism] {
		if len(r.Generates) > 0 || r.Parameters != nil {
			return true
		}
		for _, k := range r.Keys {
			keyed = true
			if p, ruled := ep11.PointFor(mechanism, k.Type, []byte(k.Params)); !ruled || w.env.Points.Has(p) {
				return true
			}
		}
	}
	return !keyed
}

// mechanism checks the mechanism of a call for a function's flag.
func (w *work) mechanism(m *ep11.Mechanism, flag uint64) (ep11.Row, error) {
	if m == nil {
		return ep11.Row{}, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "the mechanism is missing")
	}
	return w.listed(m.Type, flag)
}

// point refuses an act whose control point is off.
func (w *work) point(p points.Point) error {
	if !w.env.Points.Has(p) {
		return ep11.Fail(ep11.CKR_IBM_STATIC_POLICY, "the domain's control point %s is off", p)
	}
	return nil
}

// allowed asks the grant about a mechanism without a key.
func (w *work) allowed(mechanism uint64) error {
	return w.env.Allow(Access{Function: w.call.Function, Mechanism: mechanism})
}

// permitted asks whether the caller may use a key at all: the grant, and the key's session. mechanism is of the use. A key that is refused is
// not kept open.
func (w *work) permitted(o *object, mechanism ...uint64) error {
	err := w.permit(o, mechanism...)
	if err != nil {
		w.close(o)
	}
	return err
}

func (w *work) permit(o *object, mechanism ...uint64) error {
	a := Access{Function: w.call.Function, Keyed: !o.bare, Key: o.Key, Owner: o.Owner, Class: o.Class, Type: o.Type}
	if len(mechanism) > 0 {
		a.Mechanism = mechanism[0]
	} else if w.call.Mechanism != nil {
		a.Mechanism = w.call.Mechanism.Type
	}
	if err := w.env.Allow(a); err != nil {
		return err
	}
	if o.bare {
		return nil
	}
	if len(o.Session) != 0 && (w.env.Sessions == nil || !w.env.Sessions.Live(o.Owner, [sessionSize]byte(o.Session))) {
		return ep11.Fail(ep11.CKR_SESSION_CLOSED, "the session that the key is bound to is not open")
	}
	return nil
}

// errUse says that the key's attributes don't allow the use.
var errUse = ep11.Fail(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, "the key's attributes don't allow this use")

// take reads a key, asks whether it may be used, and checks the attributes that the use needs. A key with uses that one key doesn't have together, or made
// otherwise as none is outside the compatibility profile, is used in it only. The caller wipes it.
func (w *work) take(blob []byte, missing ep11.Code, mechanism uint64, needs ...uint64) (*object, error) {
	o, err := w.keyOf(blob, missing)
	if err != nil {
		return nil, err
	}
	if err := w.permitted(o, mechanism); err != nil {
		o.wipe()
		return nil, err
	}
	if !w.env.Compat && o.Profile {
		o.wipe()
		return nil, ep11.Fail(ep11.CKR_IBM_STATIC_POLICY, "the key was made as keys are in the compatibility profile only: make another, or ask for a grant with it")
	}
	if !w.env.Compat && o.Attributes.Apart() != nil {
		o.wipe()
		return nil, ep11.Fail(ep11.CKR_IBM_STATIC_POLICY, "the key has uses that one key has together in the compatibility profile only: drop some, or ask for a grant with it")
	}
	for _, n := range needs {
		// A bare public key has no attributes: it verifies, and nothing else.
		if o.bare && n != ep11.CKA_VERIFY || !o.bare && !o.Attributes.Has(n) {
			o.wipe()
			return nil, errUse
		}
	}
	return o, nil
}

// rowFor finds the code of a mechanism for a key that does something, and checks the control point of the two. wrong is the code for a key of
// another type.
func (w *work) rowFor(mechanism uint64, k family.KeyType, wrong ep11.Code, can func(family.Row) bool) (family.Row, error) {
	for _, r := range w.engine.rows[mechanism] {
		if !can(r) || !slices.Contains(r.Keys, k) {
			continue
		}
		if p, ruled := ep11.PointFor(mechanism, k.Type, []byte(k.Params)); ruled {
			return r, w.point(p)
		}
		return r, nil
	}
	return family.Row{}, wrong
}

// use records a use of a key if it is secret, before what it computes: also what fails, and how, can tell of a key.
func (w *work) use(o *object, mechanism uint64) {
	if o.secretKey() {
		w.uses = append(w.uses, Use{Key: o.Key, Function: w.call.Function, Mechanism: mechanism})
	}
}

// mechanismList lists what is offered under the domain's control points.
func (w *work) mechanismList() (ep11.Answer, error) {
	if err := w.allowed(0); err != nil {
		return ep11.Answer{}, err
	}
	var list []uint64
	for _, r := range w.engine.offers {
		if w.pointed(r.Mechanism) {
			list = append(list, r.Mechanism)
		}
	}
	return ep11.Answer{Mechanisms: list}, nil
}

// mechanismInfo tells sizes and flags of one.
func (w *work) mechanismInfo() (ep11.Answer, error) {
	r, err := w.mechanism(w.call.Mechanism, 0)
	if err == nil {
		err = w.allowed(r.Mechanism)
	}
	if err != nil {
		return ep11.Answer{}, err
	}
	return ep11.Answer{Info: &ep11.Info{Min: r.Min, Max: r.Max, Flags: r.Flags}}, nil
}

// generateRandom gives random bytes. None, and more than ep11.MaxRandom, are refused as the service does.
func (w *work) generateRandom() (ep11.Answer, error) {
	if n := w.call.Len; n < 1 || n > ep11.MaxRandom {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "1 to %d random bytes are given", ep11.MaxRandom)
	}
	if err := w.allowed(0); err != nil {
		return ep11.Answer{}, err
	}
	out := make([]byte, w.call.Len)
	if err := w.env.Random.Fill(w.ctx, out); err != nil {
		return ep11.Answer{}, err
	}
	return ep11.Answer{Data: out}, nil
}
