// SPDX-License-Identifier: Apache-2.0

package transfertest

import (
	"reflect"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/transfer"
)

// Run tests a store. open gives an empty one; reopen ends it and opens it again with what it kept; poke has the store raise the
// Poke of a transfer.
func Run(t *testing.T, open func(testing.TB) transfer.Store, reopen func(testing.TB, transfer.Store) transfer.Store, poke func(testing.TB, transfer.Store, custody.RequestID)) {
	id := func(n byte) custody.RequestID { return custody.RequestID{n} }
	row := func(n byte, w custody.WalletID, next int64) transfer.Transfer {
		return transfer.Transfer{Request: id(n), Seq: uint64(n), Wallet: w, Chain: "eip155:1", Next: next}
	}
	full := transfer.Attempt{Request: id(1), Number: 1, State: transfer.Mined, Payload: []byte{1, 2}, Account: "0xab", Nonce: 1<<64 - 1, Permit: 9, TxID: "0xcd",
		Signed: []byte{3}, Sent: 7, Block: chain.Block{Height: 5, Hash: "0xef"}, Confirmations: 3, Reverted: true, Fee: custody.U64(11), Note: "n"}
	for name, test := range map[string]func(*testing.T, transfer.Store){
		"keeps everything": func(t *testing.T, s transfer.Store) {
			in := transfer.Transfer{Request: id(1), Seq: 4, Wallet: "w", Chain: "eip155:1", Next: 5, Bump: 6, Failures: 7, Note: "why", Settled: true}
			save(t, s, in, full)
			s = reopen(t, s)
			got, ok, err := s.Transfer(t.Context(), id(1))
			if err != nil || !ok || got != in {
				t.Errorf("got %+v %v %v", got, ok, err)
			}
			wantAttempts(t, s, id(1), full)
		},
		"unknown": func(t *testing.T, s transfer.Store) {
			if _, ok, err := s.Transfer(t.Context(), id(1)); ok || err != nil {
				t.Errorf("got %v %v", ok, err)
			}
			wantAttempts(t, s, id(1))
		},
		"replaces": func(t *testing.T, s transfer.Store) {
			save(t, s, row(1, "w", 0), full)
			second := full
			second.State, second.Payload, second.Signed, second.Note = transfer.Preparing, []byte{9}, nil, ""
			third := transfer.Attempt{Request: id(1), Number: 2, State: transfer.Signed}
			save(t, s, row(1, "w", 3), second, third)
			wantAttempts(t, s, id(1), second, third)
		},
		"due": func(t *testing.T, s transfer.Store) {
			settled := row(3, "w", 0)
			settled.Settled = true
			foreign := row(6, "w", 0)
			foreign.Chain = "eip155:2"
			save(t, s, foreign)
			for _, x := range []transfer.Transfer{row(5, "a", 10), row(2, "b", 10), settled, row(4, "a", 11), row(1, "c", 9)} {
				save(t, s, x)
			}
			wantDue(t, s, 10, 10, 1, 2, 5)
			wantDue(t, s, 10, 2, 1, 2)
			wantDue(t, s, 8, 10)
		},
		"poked meanwhile": func(t *testing.T, s transfer.Store) {
			save(t, s, row(1, "w", 5))
			seen, _, err := s.Transfer(t.Context(), id(1))
			if err != nil {
				t.Fatal(err)
			}
			poke(t, s, id(1))
			seen.Next = 100
			save(t, s, seen)
			wantDue(t, s, 0, 10, 1)
			if seen, _, err = s.Transfer(t.Context(), id(1)); err != nil {
				t.Fatal(err)
			}
			seen.Next = 100
			save(t, s, seen)
			wantDue(t, s, 99, 10)
		},
		"live": func(t *testing.T, s transfer.Store) {
			a := func(n byte, number uint32) transfer.Attempt {
				return transfer.Attempt{Request: id(n), Number: number, State: transfer.Signed}
			}
			settled := row(3, "w", 0)
			settled.Settled = true
			save(t, s, row(2, "w", 0), a(2, 2), a(2, 1))
			save(t, s, row(1, "w", 0), a(1, 1))
			save(t, s, settled, a(3, 1))
			save(t, s, row(4, "other", 0), a(4, 1))
			got, err := s.Live(t.Context(), "w")
			if err != nil || len(got) != 3 || got[0].Request != id(1) || got[1].Number != 1 || got[2].Number != 2 {
				t.Errorf("got %+v %v", got, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, open(t)) })
	}
}

func save(t testing.TB, s transfer.Store, x transfer.Transfer, a ...transfer.Attempt) {
	t.Helper()
	if err := s.Save(t.Context(), x, a...); err != nil {
		t.Fatal(err)
	}
}

func wantAttempts(t testing.TB, s transfer.Store, id custody.RequestID, want ...transfer.Attempt) {
	t.Helper()
	got, err := s.Attempts(t.Context(), id)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d attempts, want %d (%v)", len(got), len(want), err)
	}
	for i := range want {
		if !reflect.DeepEqual(norm(got[i]), norm(want[i])) {
			t.Errorf("attempt %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// norm makes no difference between no bytes and nil.
func norm(a transfer.Attempt) transfer.Attempt {
	a.Payload, a.Signed = append([]byte{}, a.Payload...), append([]byte{}, a.Signed...)
	return a
}

func wantDue(t testing.TB, s transfer.Store, now int64, limit int, want ...uint64) {
	t.Helper()
	got, err := s.Due(t.Context(), []custody.ChainID{"eip155:1", "eip155:3"}, now, limit)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %+v, want %v (%v)", got, want, err)
	}
	for i := range want {
		if got[i].Seq != want[i] {
			t.Errorf("due %d is %d, want %d", i, got[i].Seq, want[i])
		}
	}
}
