// SPDX-License-Identifier: Apache-2.0

// Package roster keeps a copy of the people and rules of the current rule document, so that serve can say who may read. Nothing that is signed rests
// on it. Where the core can't be asked, nobody is on it: it refuses rather than believe what is old.
package roster

import (
	"context"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Age is how long the copy is believed before the core is asked whether it is still current. A revoked person reads so long at most.
const Age = time.Second

// Known is the copy at a moment. It is not changed.
type Known struct {
	Authority custody.AuthorityID
	Domain    custody.DomainID
	Document  policy.Document
	hash      [32]byte
	people    map[custody.PersonID]policy.Principal
	keys      map[request.KeyRef]held
}

// held is a key and who has it.
type held struct {
	by  custody.PersonID
	key request.PublicKey
}

// Key gives a key of an active person or service.
func (k *Known) Key(ref request.KeyRef) (custody.PersonID, request.PublicKey, bool) {
	h, ok := k.keys[ref]
	return h.by, h.key, ok
}

// Person gives an active person or service.
func (k *Known) Person(id custody.PersonID) (policy.Principal, error) {
	p, ok := k.people[id]
	if !ok || !p.Active {
		return p, problem.New(problem.Forbidden, "%s is not an active person of this domain; its certificate has ended", id)
	}
	return p, nil
}

// Roster keeps the copy. It is safe for concurrent use.
type Roster struct {
	core gate.Door
	now  func() time.Time

	mu    sync.RWMutex // guards all below
	at    time.Time    // when the core was asked last; zero: ask now
	known *Known
}

// New makes a roster. It does not ask the core yet.
func New(core gate.Door, now func() time.Time) *Roster { return &Roster{core: core, now: now} }

// Person gives an active person or service.
func (r *Roster) Person(ctx context.Context, id custody.PersonID) (policy.Principal, error) {
	k, err := r.Known(ctx)
	if err != nil {
		return policy.Principal{}, err
	}
	return k.Person(id)
}

// Known gives the copy.
func (r *Roster) Known(ctx context.Context) (*Known, error) {
	r.mu.RLock()
	k, fresh := r.known, r.fresh()
	r.mu.RUnlock()
	if fresh {
		return k, nil
	}
	return r.refresh(ctx)
}

// fresh says whether the core was asked lately. A clock that was set back makes the copy old.
func (r *Roster) fresh() bool {
	age := r.now().Sub(r.at)
	return !r.at.IsZero() && age >= 0 && age < Age
}

// refresh asks the core for the document if another one is current. Who comes meanwhile waits for that.
func (r *Roster) refresh(ctx context.Context) (*Known, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fresh() {
		return r.known, nil
	}
	at := r.now()
	st, err := gate.Call[message.Empty, message.Status](ctx, r.core, message.MethodStatus, message.Empty{})
	if err != nil {
		return nil, gate.Explain(err)
	}
	if err := st.Open(); err != nil {
		return nil, err
	}
	if r.known == nil || st.PolicyHash != r.known.hash {
		if err := r.load(ctx, st); err != nil {
			return nil, err
		}
	}
	r.at = at
	return r.known, nil
}

func (r *Roster) load(ctx context.Context, st message.Status) error {
	m, err := gate.Call[message.Empty, message.Policy](ctx, r.core, message.MethodPolicy, message.Empty{})
	if err != nil {
		return gate.Explain(err)
	}
	doc, err := policy.DecodeDocument(m.Document)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "the core's rule document can't be read")
	}
	k := &Known{Authority: st.Authority, Domain: st.Domain, Document: doc, hash: m.Hash, people: make(map[custody.PersonID]policy.Principal, len(doc.Principals)),
		keys: map[request.KeyRef]held{}}
	for _, p := range doc.Principals {
		k.people[p.ID] = p
		for _, key := range p.Keys {
			if p.Active {
				k.keys[key.Ref()] = held{p.ID, key}
			}
		}
	}
	r.known = k
	return nil
}

// Forget makes the next call ask the core.
func (r *Roster) Forget() {
	r.mu.Lock()
	r.at = time.Time{}
	r.mu.Unlock()
}
