// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// An effect moves the wallet that was asked for, to where it was asked, and holds what the way needs.
func TestMoveMade(t *testing.T) {
	t.Parallel()
	to := custody.DomainID{7}
	out := &request.WalletMoveBody{Wallet: "w", To: to[:], Temperature: request.Cold}
	back := &request.WalletMoveBody{Wallet: "w", To: to[:], Temperature: request.Hot}
	goes := func(f func(*entry.Effect)) *entry.Effect {
		b := &entry.Effect{Move: &entry.Move{Wallet: "w", To: to, Temperature: request.Cold, Import: "i", Copy: make([]byte, 32)}}
		f(b)
		return b
	}
	comes := func(f func(*entry.Effect)) *entry.Effect {
		b := &entry.Effect{Move: &entry.Move{Wallet: "w", To: to, Temperature: request.Hot, Import: "i", Public: make([]byte, 1216)}, Key: &entry.NewKey{ID: "i"}}
		f(b)
		return b
	}
	for name, x := range map[string]struct {
		asked *request.WalletMoveBody
		made  *entry.Effect
		holds bool
	}{
		"out":                 {out, goes(func(*entry.Effect) {}), true},
		"back":                {back, comes(func(*entry.Effect) {}), true},
		"another wallet":      {out, goes(func(b *entry.Effect) { b.Move.Wallet = "v" }), false},
		"elsewhere":           {out, goes(func(b *entry.Effect) { b.Move.To[0]++ }), false},
		"another temperature": {back, comes(func(b *entry.Effect) { b.Move.Temperature = request.Warm }), false},
		"no copy":             {out, goes(func(b *entry.Effect) { b.Move.Copy = nil }), false},
		"a key besides":       {out, goes(func(b *entry.Effect) { b.Key = &entry.NewKey{ID: "i"} }), false},
		"no import key":       {back, comes(func(b *entry.Effect) { b.Key = nil }), false},
		"another import key":  {back, comes(func(b *entry.Effect) { b.Key.ID = "j" }), false},
		"no public half":      {back, comes(func(b *entry.Effect) { b.Move.Public = nil }), false},
		"a document":          {out, goes(func(b *entry.Effect) { b.Document = []byte{1} }), false},
	} {
		if err := moveMade(x.asked, x.made); (err == nil) != x.holds {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An effect on the life cycle adds and removes the offline domain that the request names, and no other.
func TestOfflineMade(t *testing.T) {
	t.Parallel()
	add := &request.OfflineAddBody{Leaf: []byte{1}}
	id := add.ID()
	remove := &request.OfflineRemoveBody{Domain: bytes.Repeat([]byte{3}, 32)}
	for name, x := range map[string]struct {
		asked request.LifeBody
		made  entry.Life
		holds bool
	}{
		"added":           {add, entry.Life{Added: id[:]}, true},
		"another added":   {add, entry.Life{Added: remove.Domain}, false},
		"none added":      {add, entry.Life{}, false},
		"removed":         {remove, entry.Life{Removed: remove.Domain}, true},
		"another removed": {remove, entry.Life{Removed: id[:]}, false},
		"added by others": {&request.PointsSetBody{}, entry.Life{Added: id[:]}, false},
	} {
		if err := lifeMade(x.asked, &entry.Effect{Life: &x.made}); (err == nil) != x.holds {
			t.Errorf("%s: %v", name, err)
		}
	}
}
