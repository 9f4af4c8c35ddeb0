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

// Nobody, no, another incarnation: none of these is an agreement.
func TestOperatorsAgree(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		reply coldtalk.Reply
		err   error
		want  string
	}{
		"yes":                 {coldtalk.Reply{Agreed: 2}, nil, ""},
		"no":                  {coldtalk.Reply{}, errors.New("not confirmed"), "not confirmed"},
		"nothing":             {coldtalk.Reply{}, nil, "agreed to incarnation 0"},
		"another incarnation": {coldtalk.Reply{Agreed: 3}, nil, "agreed to incarnation 3"},
		"nobody":              {coldtalk.Reply{Nobody: true, Agreed: 2}, nil, offline.ErrUnattended.Error()},
	} {
		qr, qw := io.Pipe()
		ar, aw := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- coldtalk.Serve(aw, qr, func(q coldtalk.Question) (coldtalk.Reply, error) {
				if q.Incarnation != 2 || len(q.Permits)+len(q.Statement) > 0 {
					t.Errorf("%s: asked %+v", name, q)
				}
				return x.reply, x.err
			})
		}()
		err := ColdOperators(io.Discard, qw, ar).Reanchored(t.Context(), lossy())
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = qw.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = ar.Close()
	}
	var shown bytes.Buffer
	if err := ColdOperators(&shown, nil, nil).Reanchored(t.Context(), lossy()); !errors.Is(err, offline.ErrUnattended) || !strings.Contains(shown.String(), "RE-ANCHORED") {
		t.Errorf("without pipes: %v", err)
	}
}
