// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// newTokenFactory makes machines with a domain on a root that has keys of its own.
func newTokenFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory(), token: domaintest.NewToken()}
	f.base = domaintest.New(t, domaintest.Options{Document: withBank, Log: f.log, Anchor: f.anchor, Memory: f.memory, Token: f.token, Points: domaintest.TokenPoints()})
	f.base.Close()
	return f
}

// tellToken is the life of wallets whose keys lie in the token.
func (s *story) tellToken() error {
	for _, id := range []custody.WalletID{"hot", "second"} {
		if err := s.govern("wallet-"+string(id), request.WalletCreate, domaintest.InToken(id), s.h.Bob); err != nil {
			return err
		}
		w, err := s.h.D.Wallet(id)
		if err != nil {
			return err
		}
		if was, ok := s.wallets[id]; ok && was.Address != w.Address {
			s.h.T.Errorf("wallet %s had address %s and has %s", id, was.Address, w.Address)
		}
		s.wallets[id] = w
	}
	return s.payEthereum()
}

// tokenHolds requires that the token has the log's keys, and no other: what was cut off at its birth is gone.
func (s *story) tokenHolds(token *domaintest.Token) {
	s.h.T.Helper()
	var want []custody.KeyID
	for _, w := range s.wallets {
		want = append(want, w.Wallet.Key)
	}
	wantTokenKeys(s.h.T, token, want...)
	if st := s.h.D.Status(); st.MissingKeys != 0 || len(st.Notes) != 0 {
		s.h.T.Errorf("%d keys are missing, notes %q", st.MissingKeys, st.Notes)
	}
}

// Every call that wallets of class token make of token, root, blobs, log and pin fails, before and after its effect; the process is killed there, or goes
// on. All is opened again and asked again: one permit gives one signature for ever, and the token has the keys that the log names and no other.
func TestFaultWithTokenKeys(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	for _, op := range domaintest.TokenOps() {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			sweep(t, f, op)
		})
	}
}

// What a start, or the same process, destroys of a birth that was cut off: that fails too, before and after its effect. The note stays until it is done.
func TestFaultInTheEndOfABirth(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	for _, crash := range []bool{true, false} {
		for _, op := range []domaintest.Op{domaintest.KeyDestroy, domaintest.RootDestroy, domaintest.RootUnseal} {
			for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
				if when == domaintest.After && !op.Changes() {
					continue
				}
				t.Run(fmt.Sprintf("%s %s crash=%v", op, when, crash), func(t *testing.T) {
					t.Parallel()
					m := f.machine(t)
					s := newStory(m.Harness, request.SchemeP2TR)
					s.token = m.token
					if err := m.open(); err != nil {
						t.Fatal(err)
					}
					m.faults.FailAt(domaintest.BlobPut, 1, domaintest.Before, crash) // the key is there, and its blob is not
					if err := s.tell(); err == nil {
						t.Fatal("a wallet without a blob")
					}
					if len(m.token.IDs()) == 0 == crash {
						t.Fatalf("the token has %v", m.token.IDs())
					}
					if crash {
						m.restart(s)
					} else {
						m.token.Put("0123456789abcdef0123456789abcdef") // a stranger's: it is nobody's to destroy
					}
					m.faults.FailAt(op, 1, when, crash)
					for try := 0; try < 4; try++ {
						err := m.open()
						if err == nil {
							err = s.tell()
						}
						if err == nil {
							break
						}
						explained(t, m, err)
						if m.D == nil || crash {
							m.restart(s)
						}
					}
					if err := m.token.DestroyTokenKey(t.Context(), "0123456789abcdef0123456789abcdef"); err != nil {
						t.Fatal(err)
					}
					m.faults.Disarm()
					m.restart(s)
					if err := m.open(); err != nil {
						t.Fatal(err)
					}
					if err := s.tell(); err != nil {
						t.Fatal(err)
					}
					s.tokenHolds(m.token)
					wantLabels(t, m.Harness, "dwk-1", "identity")
					s.holds()
				})
			}
		}
	}
}

// Zeroize under a fault of each of its calls: what it did not destroy the next start does, before it serves.
func TestFaultInZeroizeWithTokenKeys(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	for _, op := range []domaintest.Op{domaintest.KeyList, domaintest.KeyDestroy, domaintest.RootDestroy, domaintest.RootStatus, domaintest.StoreAppend, domaintest.AnchorPin, domaintest.BlobDelete} {
		for n := 1; n <= 3; n++ {
			for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
				t.Run(fmt.Sprintf("%s %d %s", op, n, when), func(t *testing.T) {
					t.Parallel()
					m := f.machine(t)
					if err := m.open(); err != nil {
						t.Fatal(err)
					}
					m.WalletOf(domaintest.InToken("hot"))
					m.WalletOf(domaintest.InToken("second"))
					m.faults.FailAt(op, n, when, n != 2)
					_, err := m.Zeroize(m.Bob)
					if err == nil {
						wantTokenKeys(t, m.token)
					}
					for try := 0; ; try++ {
						m.restart(&story{})
						if err := m.open(); err == nil {
							break
						} else if try > 3 {
							t.Fatal(err)
						}
					}
					m.faults.Disarm()
					if m.Life().Phase != "zeroized" {
						if _, err := m.Zeroize(m.Bob); err != nil {
							t.Fatal(err)
						}
					}
					wantTokenKeys(t, m.token)
					wantLabels(t, m.Harness, "identity")
				})
			}
		}
	}
}
