// SPDX-License-Identifier: Apache-2.0

// Package transfertest tests stores of transfers: [Run] is the conformance suite, [Memory] a store that can be made to fail.
package transfertest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/transfer"
)

// ErrStore is what a store gives that was made to fail.
var ErrStore = errors.New("store failed by the test")

// Memory is a store in memory. Safe for concurrent use.
type Memory struct {
	mu        sync.Mutex // guards all below
	transfers map[custody.RequestID]transfer.Transfer
	attempts  map[custody.RequestID]map[uint32]transfer.Attempt
	fail      func(after bool) error // for Save
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{transfers: map[custody.RequestID]transfer.Transfer{}, attempts: map[custody.RequestID]map[uint32]transfer.Attempt{}}
}

// FailSave makes Save ask f before and after it writes.
func (m *Memory) FailSave(f func(after bool) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// Poke makes a transfer due, as the log does.
func (m *Memory) Poke(id custody.RequestID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.transfers[id]; ok {
		t.Poke, t.Next = t.Poke+1, 0
		m.transfers[id] = t
	}
}

// Due gives transfers to look at.
func (m *Memory) Due(_ context.Context, chains []custody.ChainID, now int64, limit int) ([]transfer.Transfer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []transfer.Transfer
	for _, t := range m.transfers {
		if !t.Settled && t.Next <= now && slices.Contains(chains, t.Chain) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b transfer.Transfer) int { return cmp.Compare(a.Seq, b.Seq) })
	return out[:min(limit, len(out))], nil
}

// Transfer gives a transfer.
func (m *Memory) Transfer(_ context.Context, id custody.RequestID) (transfer.Transfer, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.transfers[id]
	return t, ok, nil
}

// Attempts gives a transfer's attempts.
func (m *Memory) Attempts(_ context.Context, id custody.RequestID) ([]transfer.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attemptsOf(id), nil
}

func (m *Memory) attemptsOf(id custody.RequestID) []transfer.Attempt {
	return slices.SortedFunc(maps.Values(m.attempts[id]), func(a, b transfer.Attempt) int { return cmp.Compare(a.Number, b.Number) })
}

// Live gives the unsettled attempts of a wallet.
func (m *Memory) Live(_ context.Context, w custody.WalletID) ([]transfer.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []transfer.Transfer
	for _, t := range m.transfers {
		if t.Wallet == w && !t.Settled {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b transfer.Transfer) int { return cmp.Compare(a.Seq, b.Seq) })
	var out []transfer.Attempt
	for _, t := range list {
		out = append(out, m.attemptsOf(t.Request)...)
	}
	return out, nil
}

// Save keeps a transfer and attempts.
func (m *Memory) Save(_ context.Context, t transfer.Transfer, attempts ...transfer.Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(false); err != nil {
			return err
		}
	}
	if have := m.transfers[t.Request].Poke; have > t.Poke {
		t.Poke, t.Next = have, 0
	}
	m.transfers[t.Request] = t
	for _, a := range attempts {
		if m.attempts[a.Request] == nil {
			m.attempts[a.Request] = map[uint32]transfer.Attempt{}
		}
		a.Payload, a.Signed = slices.Clone(a.Payload), slices.Clone(a.Signed)
		m.attempts[a.Request][a.Number] = a
	}
	if m.fail != nil {
		return m.fail(true)
	}
	return nil
}
