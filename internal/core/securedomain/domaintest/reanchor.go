// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"slices"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/pure/entry"
)

// Remain folds what is left of a domain that is closed, and considers its pin.
func (h *Harness) Remain() (*securedomain.Remains, error) {
	h.T.Helper()
	if h.D != nil {
		h.T.Fatal("an open domain is not re-anchored")
	}
	cfg, err := h.config(false)
	if err != nil {
		return nil, err
	}
	r, err := securedomain.Remain(context.Background(), securedomain.ReanchorConfig{Arena: cfg.Arena, Root: cfg.Root, Store: cfg.Store, Local: cfg.Anchor, Clock: h.Clock})
	if err != nil {
		return nil, err
	}
	_, err = r.ConsiderPin(context.Background())
	return r, err
}

// Draft prepares a re-anchor document with a file anchor, signed by some people, and closes what was opened for that.
func (h *Harness) Draft(by ...Person) *entry.Reanchor {
	h.T.Helper()
	defer h.Close()
	r, err := h.Remain()
	if err != nil {
		h.T.Fatal(err)
	}
	defer r.Close()
	doc, err := r.Draft(securedomain.Plan{Reason: "a test says so", Anchor: "file"})
	if err != nil {
		h.T.Fatal(err)
	}
	return SignReanchor(doc, by...)
}

// SignReanchor signs a document in the place of whoever signed it before.
func SignReanchor(doc *entry.Reanchor, by ...Person) *entry.Reanchor {
	doc.Signatures = nil
	for _, p := range by {
		doc.Signatures = append(doc.Signatures, entry.GenesisSignature{Person: p.ID, Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, doc.Message())})
	}
	slices.SortFunc(doc.Signatures, func(a, b entry.GenesisSignature) int { return cmp.Compare(a.Person, b.Person) })
	return doc
}

// Apply applies a document, and closes what was opened for that.
func (h *Harness) Apply(doc *entry.Reanchor) error {
	h.T.Helper()
	defer h.Close()
	r, err := h.Remain()
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Apply(context.Background(), doc)
}
