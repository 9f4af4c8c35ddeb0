// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"strings"
	"testing"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

type doorOf struct{ h *house }

func (d doorOf) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return d.h.dispatch(ctx, gate.Caller{}, method, body)
}

// domain is a domain with one method.
type domain struct{}

func (domain) Serve(m *gate.Mux) {
	gate.Handle(m, message.MethodPing, func(_ context.Context, _ gate.Caller, in message.Empty) (message.Empty, error) { return in, nil })
}

// Before the domain is open only relay and status answer; then the domain does, and the relay goes on.
func TestHouse(t *testing.T) {
	t.Parallel()
	q := relay.New()
	defer q.Close()
	h := newHouse(q, "", func() string { return "the tide" }, nil)
	d := doorOf{h}
	take := func() {
		t.Helper()
		if _, err := gate.Call[relay.Take, relay.Taken](t.Context(), d, relay.MethodTake, relay.Take{Limit: 1}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := gate.Call[message.Empty, message.Status](t.Context(), d, message.MethodStatus, message.Empty{})
	if err != nil || st.Starting != "the tide" || st.Size != 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	take()
	for _, m := range []string{message.MethodPing, message.MethodSubmit, message.MethodSign, message.MethodFeed, "nonsense"} {
		if _, err := d.Call(t.Context(), m, nil); problem.KindOf(err) != problem.Starting {
			t.Errorf("%s before the domain is open: %v", m, err)
		}
	}
	h.opened(domain{})
	if _, err := gate.Call[message.Empty, message.Empty](t.Context(), d, message.MethodPing, message.Empty{}); err != nil {
		t.Fatal(err)
	}
	take()
	if _, err := d.Call(t.Context(), "nonsense", nil); problem.KindOf(err) != problem.Unsupported {
		t.Fatal(err)
	}
}

// Options may repeat what genesis says, and nothing else.
func TestAgree(t *testing.T) {
	t.Parallel()
	var o Options
	if err := o.AddWitness("w1=witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"); err != nil {
		t.Fatal(err)
	}
	set, err := tlog.NewWitnesses(o.Witnesses, 0)
	if err != nil {
		t.Fatal(err)
	}
	o.Anchor = AnchorWitness
	g := entry.Genesis{Anchor: AnchorWitness}
	if err := o.name(&g); err != nil || len(g.Witnesses) != 1 || g.Quorum != 1 || g.Witnesses[0].Key != o.Witnesses[0].Key.String() {
		t.Fatalf("%+v, %v", g, err)
	}
	renamed := o
	renamed.Witnesses = []tlog.Witness{{Name: "other", Key: o.Witnesses[0].Key}}
	for name, c := range map[string]struct {
		o    Options
		want string // of the error; empty: none
	}{
		"nothing": {Options{}, ""}, "the same": {o, ""}, "another anchor": {Options{Anchor: AnchorFile}, "names the anchor"}, "another name": {renamed, "other log witnesses"},
		"another quorum": {Options{Witnesses: o.Witnesses, Quorum: 2}, "quorum of 2"}, "a quorum alone": {Options{Quorum: 1}, "0 log witnesses"},
	} {
		err := agree(c.o, AnchorWitness, set)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Options{Anchor: AnchorWitness}).name(&entry.Genesis{Anchor: AnchorWitness}); err == nil {
		t.Error("a genesis without log witnesses was named")
	}
	if err := o.name(&entry.Genesis{Anchor: AnchorFile}); err == nil {
		t.Error("log witnesses were named for a file anchor")
	}
	for _, s := range []string{"", "w1", "w1=", "=x", "w1=witness.example/w1+aa4a09d1+AAAA"} {
		if err := new(Options).AddWitness(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
}
