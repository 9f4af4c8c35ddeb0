// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// rosterAge is how long the people of the rule document are believed before the core is asked whether they are still current.
// A revoked person's certificate works so long at most.
const rosterAge = time.Second

// roster is a copy of the people of the current rule document. Where the core can't be asked, nobody is on it.
type roster struct {
	core gate.Door
	now  func() time.Time

	mu     sync.RWMutex // guards all below
	at     time.Time    // when the core was asked last; zero: ask now
	hash   [32]byte
	people map[custody.PersonID]policy.Principal
}

// person gives an active person or service.
func (r *roster) person(ctx context.Context, id custody.PersonID) (policy.Principal, error) {
	r.mu.RLock()
	fresh := !r.at.IsZero() && r.now().Sub(r.at) < rosterAge
	p, ok := r.people[id]
	r.mu.RUnlock()
	if !fresh {
		var err error
		if p, ok, err = r.refresh(ctx, id); err != nil {
			return p, err
		}
	}
	if !ok || !p.Active {
		return p, problem.New(problem.Forbidden, "%s is not an active person of this domain; its certificate has ended", id)
	}
	return p, nil
}

// refresh asks the core for the document if another one is current. Who comes meanwhile waits for that.
func (r *roster) refresh(ctx context.Context, id custody.PersonID) (policy.Principal, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || r.now().Sub(r.at) >= rosterAge {
		at := r.now()
		st, err := coreStatus(ctx, r.core)
		if err == nil && (r.people == nil || st.PolicyHash != r.hash) {
			err = r.load(ctx)
		}
		if err != nil {
			return policy.Principal{}, false, err
		}
		r.at = at
	}
	p, ok := r.people[id]
	return p, ok, nil
}

func (r *roster) load(ctx context.Context) error {
	m, err := ask[message.Policy](ctx, r.core, message.MethodPolicy, message.Empty{})
	if err != nil {
		return err
	}
	doc, err := policy.DecodeDocument(m.Document)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "the core's rule document can't be read")
	}
	r.people = make(map[custody.PersonID]policy.Principal, len(doc.Principals))
	for _, p := range doc.Principals {
		r.people[p.ID] = p
	}
	r.hash = m.Hash
	return nil
}

// forget makes the next call ask the core.
func (r *roster) forget() {
	r.mu.Lock()
	r.at = time.Time{}
	r.mu.Unlock()
}
