// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/core/offline"
	"strongroom/internal/pure/custody"
)

func gone() offline.Loss {
	return offline.Loss{Name: "vault", Number: 9, From: 12, To: 20, Dropped: 2, Signed: []offline.Signed{{Entry: 40, TxID: "0xbeef"}}, Undone: []offline.Signed{{Entry: 41, TxID: "0xdead\x1b[2J"}},
		Came: []custody.WalletID{"new", "later"}, Left: []custody.WalletID{"old"}, Missing: []custody.WalletID{"later"}, Import: true, Stranded: "way", Gap: 77,
		Maybe: append(make([]offline.LostPermit, maxTold), offline.LostPermit{Entry: 99}, offline.LostPermit{Entry: 100})}
}

// What operators see of a domain that was set back.
func TestLossInWords(t *testing.T) {
	t.Parallel()
	l := gone()
	l.Maybe[0] = offline.LostPermit{Entry: 50, Wallet: "savings", Account: "0xa", Nonce: 5}
	text := strings.Join(loss(l), "\n")
	for _, want := range []string{"THIS DOMAIN WAS SET BACK", "Entries 12 to 19 come back", "DROPPED are 2 entries", "permit 40: signed by an entry that comes back, transaction 0xbeef", "permit 41: SIGNED by an entry that is dropped, transaction 0xdead",
		`wallet "later": its seed is NOT HERE`, `wallet "new" came`, `wallet "old" left`, "IMPORT KEY is lost", `wallet "way" is on its way here`, "52 permits wait, and MAY HAVE BEEN SIGNED", `permit 50, wallet "savings", nonce 5 of 0xa`, "and 2 more",
		"THE ONLINE LOG LOST ENTRIES TOO, by entry 77"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, `"later" came`) || strings.Contains(text, "permit 99") {
		t.Errorf("too much is shown:\n%s", text)
	}
	quiet := strings.Join(loss(offline.Loss{From: 12, To: 20}), "\n")
	for _, word := range []string{"DROPPED", "NOT HERE", "IMPORT KEY", "MAY HAVE", "TOO"} {
		if strings.Contains(quiet, word) {
			t.Errorf("%s is shown of nothing:\n%s", word, quiet)
		}
	}
}

func lossy() offline.Reanchoring {
	return offline.Reanchoring{Name: "vault", Number: 7, Had: 120, Kept: 90, Gone: true, Came: []custody.WalletID{"new"}, Left: []custody.WalletID{"old"},
		Entries: []offline.Reanchored{{Incarnation: 2, Entry: 90, Reason: "the disk is gone\x1b[2J", By: []offline.Signer{{Person: "p_bob"}, {Person: "p_eve", Removed: true}}}},
		Permits: []offline.LostPermit{{Entry: 95, Wallet: "savings", Account: "0xa", Nonce: 5, TxID: "0xbeef"}, {Entry: 99, Wallet: "coins", Inputs: 3}}}
}

// What operators see of a re-anchoring, in words, without what a terminal would obey.
func TestReanchoringInWords(t *testing.T) {
	t.Parallel()
	text := strings.Join(reanchoring(lossy()), "\n")
	for _, want := range []string{"LOG WAS RE-ANCHORED", "goes on as incarnation 2", "because: the disk is gone", "signed by p_bob\n", "p_eve, WHO IS NOBODY", "LOST are the entries 90 to 119", "not on this machine any more",
		`permit 95, wallet "savings", nonce 5 of 0xa: SIGNED here, transaction 0xbeef`, `permit 99, wallet "coins", 3 inputs: it was confirmed here and is not signed yet`, `wallet "new" came`, `wallet "old" left`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a control character is shown")
	}
	whole := lossy()
	whole.Kept = whole.Had
	if text := strings.Join(reanchoring(whole), "\n"); !strings.Contains(text, "Nothing is lost of the 120") || strings.Contains(text, "LOST") {
		t.Error(text)
	}
}

// Nobody, no, another incarnation or number of entries: none of these is an agreement.
func TestOperatorsAgree(t *testing.T) {
	t.Parallel()
	l := gone()
	l.To = 2
	for name, x := range map[string]struct {
		reply coldtalk.Reply
		err   error
		want  string
	}{
		"yes":            {coldtalk.Reply{Agreed: 2}, nil, ""},
		"no":             {coldtalk.Reply{}, errors.New("not confirmed"), "not confirmed"},
		"nothing":        {coldtalk.Reply{}, nil, "agreed to "},
		"another number": {coldtalk.Reply{Agreed: 3}, nil, "agreed to "},
		"nobody":         {coldtalk.Reply{Nobody: true, Agreed: 2}, nil, offline.ErrUnattended.Error()},
	} {
		for what, ask := range map[string]func(ColdPeople) error{
			"incarnation": func(p ColdPeople) error { return p.Reanchored(t.Context(), lossy()) },
			"entries":     func(p ColdPeople) error { return p.SetBack(t.Context(), l) },
		} {
			qr, qw := io.Pipe()
			ar, aw := io.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- coldtalk.Serve(aw, qr, func(q coldtalk.Question) (coldtalk.Reply, error) {
					if q.Incarnation+q.SetBack != 2 || (q.SetBack == 2) != (what == "entries") || len(q.Permits)+len(q.Statement) > 0 {
						t.Errorf("%s: asked %+v", name, q)
					}
					return x.reply, x.err
				})
			}()
			err := ask(ColdOperators(io.Discard, qw, ar))
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			_ = qw.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = ar.Close()
		}
	}
	var shown bytes.Buffer
	alone := ColdOperators(&shown, nil, nil)
	if err := alone.Reanchored(t.Context(), lossy()); !errors.Is(err, offline.ErrUnattended) || !strings.Contains(shown.String(), "RE-ANCHORED") {
		t.Errorf("without pipes: %v", err)
	}
	if err := alone.SetBack(t.Context(), l); !errors.Is(err, offline.ErrUnattended) || !strings.Contains(shown.String(), "WAS SET BACK") {
		t.Errorf("without pipes: %v", err)
	}
}
