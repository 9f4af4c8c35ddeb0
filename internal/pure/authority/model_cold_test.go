// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// modelCold is where keys are, as plainly as it can be written. Of an offline domain the hashes of all its entries are kept.
type modelCold struct {
	domains []modelOffline
	away    []Away
	open    []exportRecord
	back    []backRecord
}

type modelOffline struct {
	OfflineDomain
	hashes [][32]byte
}

func (c modelCold) clone() modelCold {
	c.domains, c.away, c.open = slices.Clone(c.domains), slices.Clone(c.away), slices.Clone(c.open)
	c.back = slices.Clone(c.back)
	for i := range c.domains {
		c.domains[i].hashes = slices.Clone(c.domains[i].hashes)
	}
	return c
}

func (m *model) coldImage() *coldSection {
	if len(m.cold.domains) == 0 {
		return nil
	}
	out := &coldSection{}
	for _, d := range m.cold.domains {
		var f tlog.Frontier
		for _, h := range d.hashes {
			f.Append(h)
		}
		d.Frontier, d.Last = f.Marshal(), d.hashes[len(d.hashes)-1]
		out.Domains = append(out.Domains, d.OfflineDomain)
	}
	out.Away = slices.SortedFunc(slices.Values(m.cold.away), func(a, b Away) int { return int(a.Wallet) - int(b.Wallet) })
	out.Open = slices.SortedFunc(slices.Values(m.cold.open), func(a, b exportRecord) int {
		return int(m.signedOf(a.Request).Permit) - int(m.signedOf(b.Request).Permit)
	})
	out.Back = slices.SortedFunc(slices.Values(m.cold.back), func(a, b backRecord) int { return int(a.Wallet) - int(b.Wallet) })
	return out
}

func (m *model) awayOf(wallet int) *Away {
	for i := range m.cold.away {
		if int(m.cold.away[i].Wallet) == wallet {
			return &m.cold.away[i]
		}
	}
	return nil
}

func (m *model) offlineOf(id []byte) *modelOffline {
	for i := range m.cold.domains {
		if d := &m.cold.domains[i]; bytes.Equal(d.ID[:], id) && d.Removed == 0 {
			return d
		}
	}
	return nil
}

// exports notes that a permit waits for its signatures from elsewhere, or refuses it while the key is on its way back.
func (m *model) exports(wallet int, id custody.RequestID) error {
	a := m.awayOf(wallet)
	if a == nil {
		return nil
	}
	if a.Way == Coming {
		return errModel
	}
	m.settled(id)
	m.cold.open = append(m.cold.open, exportRecord{id, uint32(wallet)})
	return nil
}

func (m *model) settled(id custody.RequestID) {
	m.cold.open = slices.DeleteFunc(m.cold.open, func(x exportRecord) bool { return x.Request == id })
}

// offlineEffect does what offline_add and offline_remove ask for.
func (m *model) offlineEffect(l entry.Leaf, body request.LifeBody, want *entry.Life) error {
	if !m.mayUse(points.ExportCold) {
		if _, add := body.(*request.OfflineAddBody); add {
			return errModel
		}
	}
	switch o := body.(type) {
	case *request.OfflineAddBody:
		leaf, err := entry.DecodeLeaf(o.Leaf)
		if err != nil {
			return errModel
		}
		var g offline.Genesis
		if canon.Decode(o.Body, &g) != nil || g.Authority != m.head.Authority || g.Profile != m.head.Profile || leaf.Seq != 0 {
			return errModel
		}
		id := entry.Hash(o.Leaf)
		for _, d := range m.cold.domains {
			if d.ID == id || d.Removed == 0 && d.Name == o.Name {
				return errModel
			}
		}
		want.Added = id[:]
		m.cold.domains = append(m.cold.domains, modelOffline{OfflineDomain{ID: id, Name: o.Name, Added: l.Seq, LogKey: [32]byte(g.LogKey), Identity: [32]byte(g.Identity), Transport: g.Transport, Import: g.Import}, [][32]byte{id}})
	case *request.OfflineRemoveBody:
		d := m.offlineOf(o.Domain)
		if d == nil || slices.ContainsFunc(m.cold.away, func(a Away) bool { return m.cold.domains[a.Domain].ID == d.ID }) {
			return errModel
		}
		want.Removed = o.Domain
		d.Removed = l.Seq
	}
	return nil
}

// blobsOfKey lists a key's blobs and takes them out.
func (m *model) blobsOfKey(id custody.KeyID) (out []entry.Blob) {
	take := func(r *modelRegister) {
		if r != nil && r.blobs[id] != [32]byte{} {
			out = append(out, entry.Blob{Key: id, Hash: r.blobs[id]})
			delete(r.blobs, id)
		}
	}
	take(m.life.previous)
	for i := range m.keys {
		if k := &m.keys[i]; k.ID == id && k.Blob != [32]byte{} {
			out = append(out, entry.Blob{Key: id, Hash: k.Blob})
			k.Blob = [32]byte{}
		}
	}
	take(m.life.next)
	return out
}

func (m *model) moveEffect(l entry.Leaf, o *request.WalletMoveBody, b *entry.Effect) error {
	n := m.walletNumber(o.Wallet)
	if n < 0 || b.Move == nil || b.Life != nil || b.Wallet != nil || b.Addresses != nil || b.Document != nil || b.Warm != nil || !m.mayUse(points.ExportCold) {
		return errModel
	}
	want := entry.Move{Wallet: o.Wallet, To: custody.DomainID(o.To), Temperature: o.Temperature}
	a := m.awayOf(n)
	if want.To == m.head.Domain {
		k := b.Key
		if a == nil || a.Way != Held || o.Temperature == request.Cold || !m.mayUse(points.MoveIn) || k == nil || k.Purpose != "import" || k.Kind != "generic-secret" || k.Epoch != m.head.Epoch ||
			k.Blob == [32]byte{} || k.ID != b.Move.Import || len(b.Move.Public) != 1216 || slices.ContainsFunc(m.keys, func(x entry.NewKey) bool { return x.ID == k.ID }) {
			return errModel
		}
		want.Import, want.Public = k.ID, b.Move.Public
		a.Way, a.Move, a.Import, a.Public, a.Back = Coming, l.Seq, k.ID, b.Move.Public, o.Temperature
		if err := m.bear(k); err != nil {
			return err
		}
		return ensure(bytes.Equal(canon.Encode(want), canon.Encode(b.Move)))
	}
	d := m.offlineOf(o.To)
	same := 0
	for _, w := range m.wallets {
		if w.Key == m.wallets[n].Key {
			same++
		}
	}
	if a != nil || d == nil || o.Temperature != request.Cold || !m.mayUse(points.MoveOut) || d.Taken != 0 || d.Zeroized || same != 1 || b.Key != nil || len(b.Move.Copy) != 32 {
		return errModel
	}
	m.life.doomed = append(slices.Clone(m.life.doomed), m.blobsOfKey(m.wallets[n].Key)...)
	list := entry.ListOf(m.life.doomed)
	want.Import, want.Copy, want.Doomed = d.Import.ID, b.Move.Copy, &list
	d.Taken = l.Seq
	m.warm = slices.DeleteFunc(m.warm, func(x modelWarm) bool { return x.wallet == n })
	at := slices.IndexFunc(m.cold.domains, func(x modelOffline) bool { return x.ID == d.ID })
	m.cold.away = append(m.cold.away, Away{Wallet: uint32(n), Domain: uint32(at), Way: Leaving, Move: l.Seq, Import: d.Import.ID, Copy: b.Move.Copy})
	return ensure(bytes.Equal(canon.Encode(want), canon.Encode(b.Move)))
}

// noColdSeed refuses a wallet of a cold wallet's seed.
func (m *model) noColdSeed(seed custody.KeyID) error {
	for _, a := range m.cold.away {
		if m.wallets[a.Wallet].Key == seed {
			return errModel
		}
	}
	return nil
}

// offline takes what an offline domain did.
func (m *model) offline(l entry.Leaf, b *entry.Offline) error {
	d := m.offlineOf(b.Domain[:])
	if d != nil && b.Number > 0 {
		d.Number++
		return ensure(b.Number == d.Number, len(b.Records) == 0, len(b.Checkpoint) == 0, len(b.Taken) == 0)
	}
	if d == nil || len(b.Records) == 0 || len(b.Checkpoint) == 0 {
		return errModel
	}
	taken := b.Taken
	for _, r := range b.Records {
		x, err := entry.DecodeLeaf(r.Leaf)
		if err != nil || int(x.Seq) != len(d.hashes) || x.Prev != d.hashes[len(d.hashes)-1] || x.Domain != d.ID || x.Authority != m.head.Authority || x.Engine != "strongroom/1" {
			return errModel
		}
		d.hashes = append(d.hashes, entry.Hash(r.Leaf))
		if len(r.Body) == 0 && len(r.Salt) == 0 && (x.Kind == "offline-permit" || x.Kind == "recovery-copies" || x.Kind == "slots-closed" || x.Kind == "writer") {
			continue
		}
		if len(r.Salt) != 16 || len(x.Bodies) == 0 || entry.CheckBody(x.Bodies[0], [16]byte(r.Salt), r.Body) != nil {
			return errModel
		}
		body, err := offline.DecodeBody(x.Kind, x.KindVersion, r.Body)
		if err != nil {
			return errModel
		}
		if taken, err = m.offlineAct(d, body, taken); err != nil {
			return err
		}
	}
	d.Result = l.Seq
	return ensure(len(taken) == 0)
}

func (m *model) offlineAct(d *modelOffline, body any, taken []entry.TakenKey) ([]entry.TakenKey, error) {
	switch b := body.(type) {
	case *offline.Genesis:
		return nil, errModel
	case *offline.Import:
		d.Knows = b.Size
		return taken, ensure(b.Size <= m.head.Next)
	case *offline.Result:
		return taken, ensure(!slices.ContainsFunc(m.cold.open, func(x exportRecord) bool { return m.signedOf(x.Request).Permit == b.Entry }))
	case *offline.Zeroized:
		d.Zeroized = true
	case *offline.Restored:
		d.Zeroized = false
	case *offline.CaughtUp:
		return taken, m.caughtUp(d, b)
	case *offline.MovedIn:
		n := m.walletNumber(b.Wallet)
		a := m.awayOf(n)
		if a == nil || a.Way != Leaving || !a.Erased || m.cold.domains[a.Domain].ID != d.ID || a.Move != b.Entry || m.wallets[n].Key != b.Key || a.Import != b.Used || b.Next.ID == b.Used || b.Next.Check() != nil {
			return nil, errModel
		}
		m.life.doomed = append(slices.Clone(m.life.doomed), entry.Blob{Key: SealedCopies, Hash: [32]byte(a.Copy)})
		a.Way, a.Import, a.Copy, a.Erased, a.Missing, d.Import, d.Taken = Held, "", nil, false, false, b.Next, 0
	case *offline.MovedOut:
		n := m.walletNumber(b.Wallet)
		a := m.awayOf(n)
		if a == nil || a.Way != Coming || m.cold.domains[a.Domain].ID != d.ID || a.Move != b.Entry || m.wallets[n].Key != b.Key || len(taken) == 0 {
			return nil, errModel
		}
		k := taken[0]
		if k.Key != b.Key || k.Epoch != m.head.Epoch || k.Blob == [32]byte{} {
			return nil, errModel
		}
		m.life.doomed = append(slices.Clone(m.life.doomed), m.blobsOfKey(a.Import)...)
		for i := range m.keys {
			if m.keys[i].ID == b.Key {
				m.keys[i].Epoch, m.keys[i].Blob = k.Epoch, k.Blob
			}
		}
		if a.Back == request.Warm {
			m.warm = append(m.warm, modelWarm{wallet: n})
		}
		m.cold.open = slices.DeleteFunc(m.cold.open, func(x exportRecord) bool { return int(x.Wallet) == n })
		m.cold.back = slices.DeleteFunc(m.cold.back, func(x backRecord) bool { return int(x.Wallet) == n })
		m.cold.back = append(m.cold.back, backRecord{uint32(n), m.head.Next})
		m.cold.away = slices.DeleteFunc(m.cold.away, func(x Away) bool { return int(x.Wallet) == n })
		return taken[1:], nil
	}
	return taken, nil
}

func (m *model) caughtUp(d *modelOffline, b *offline.CaughtUp) error {
	if b.Number > d.Number || b.Size > m.head.Next {
		return errModel
	}
	for i := range m.cold.away {
		a := &m.cold.away[i]
		w := m.wallets[a.Wallet]
		switch {
		case m.cold.domains[a.Domain].ID != d.ID:
		case a.Way == Leaving:
			a.Missing = a.Missing || b.Next != nil && a.Import == d.Import.ID
		case slices.ContainsFunc(b.Missing, func(x offline.Missing) bool { return x.Wallet == w.ID && x.Key == w.Key }):
			a.Missing = true
		}
	}
	d.Gap = m.head.Next
	if b.Next != nil {
		if b.Next.Check() != nil || b.Next.ID == d.Import.ID {
			return errModel
		}
		d.Import, d.Taken = *b.Next, 0
	}
	return nil
}
