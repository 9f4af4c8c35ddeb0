// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Large is what a state is made larger by, for measurements: a hundred thousand entries of the address ledger, and what limits have counted of ten
// million transfers, are written into its image as docs/spec/state.md has it, because to make them one by one takes hours. No entry of a log leads to such a state.
type Large struct {
	Entries int              // of the address ledger, besides those that are there
	Events  int              // transfers that limits have counted, over the two days before Now, to Payees in turn; 0: none
	Payees  int              // at least 1, if there are events
	Service custody.PersonID // who asked for them
	Wallet  custody.WalletID // on Chain, which paid them
	Chain   custody.ChainID  // an Ethereum chain
	Now     time.Time
}

// Mirrors of what an image holds. docs/spec/state.md, sections 22 and 23.
type (
	imageGovernance struct {
		Book *imageChain `cbor:"3,keyasint,omitempty"`
		Paid *imageChain `cbor:"4,keyasint,omitempty"`
	}
	imageChain struct {
		Per     uint64       `cbor:"1,keyasint"`
		Dropped uint64       `cbor:"2,keyasint"`
		Full    []imageChunk `cbor:"3,keyasint"`
		Tail    []byte       `cbor:"4,keyasint"`
	}
	imageChunk struct {
		Hash [32]byte `cbor:"1,keyasint"`
		Last int64    `cbor:"2,keyasint"`
	}
	imageRecord struct {
		Act   uint8             `cbor:"1,keyasint"`
		ID    string            `cbor:"2,keyasint"`
		Entry *policy.BookEntry `cbor:"3,keyasint"`
		At    int64             `cbor:"4,keyasint"`
		Seen  int64             `cbor:"5,keyasint"`
		Seq   uint64            `cbor:"6,keyasint"`
	}
	imageMeter struct {
		Key    [32]byte      `cbor:"1,keyasint"`
		Limit  string        `cbor:"2,keyasint"`
		Group  []string      `cbor:"3,keyasint,omitempty"`
		Window policy.Window `cbor:"4,keyasint"`
		Used   []imageUse    `cbor:"5,keyasint"`
	}
	imageUse struct {
		Place  int64           `cbor:"1,keyasint"`
		Amount custody.Uint256 `cbor:"2,keyasint"`
	}
)

// Payee gives the address of entry number i, and of payee number i.
func Payee(i int) string {
	var a eth.Address
	binary.BigEndian.PutUint32(a[:], uint32(i))
	binary.BigEndian.PutUint32(a[16:], uint32(i)*2654435761) // so that they don't look alike
	return a.String()
}

// Enlarge gives a state that is s and more. s stays as it is, and shares no memory with the result.
func (x Large) Enlarge(s *authority.State) (*authority.State, error) {
	raw, _ := s.Image().Encode()
	var img authority.Image
	if err := canon.DecodeLarge(bytes.Clone(raw), &img); err != nil {
		return nil, err
	}
	chunks := map[[32]byte][]byte{}
	for h, b := range s.Chunks() {
		chunks[h] = bytes.Clone(b)
	}
	if x.Entries > 0 {
		if err := x.list(s, &img, chunks); err != nil {
			return nil, err
		}
	}
	if x.Events > 0 {
		if err := x.count(s.Rules, &img); err != nil {
			return nil, err
		}
	}
	return authority.Restore(img, func(h [32]byte) ([]byte, error) {
		b, ok := chunks[h]
		if !ok {
			return nil, fmt.Errorf("chunk %x is not there", h[:8])
		}
		return b, nil
	})
}

// list adds the entries to the ledger's chain.
func (x Large) list(s *authority.State, img *authority.Image, chunks map[[32]byte][]byte) error {
	var g imageGovernance
	if err := canon.DecodeLarge(canon.Encode(img.Governance), &g); err != nil || g.Book == nil {
		return errors.Join(errors.New("the domain has no address ledger, or more than that"), err)
	}
	b, in := g.Book, 0
	for rest := b.Tail; len(rest) > 0; in++ {
		rest = rest[4+binary.BigEndian.Uint32(rest):]
	}
	const listed = 1
	at := x.Now.Add(-24 * time.Hour).Unix()
	for i := range x.Entries {
		id := fmt.Sprintf("entry-%d", i)
		rec := canon.Encode(imageRecord{Act: listed, ID: id, Entry: &policy.BookEntry{ID: id, Chain: x.Chain, Address: Payee(i)}, At: at, Seen: at, Seq: s.Next - 1})
		b.Tail = append(binary.BigEndian.AppendUint32(b.Tail, uint32(len(rec))), rec...)
		if in++; uint64(in) == b.Per {
			h := canon.HashBytes(canon.TagChain, b.Tail)
			chunks[h] = b.Tail
			b.Full, b.Tail, in = append(b.Full, imageChunk{Hash: h}), nil, 0
		}
	}
	if err := canon.DecodeLarge(canon.Encode(g), &img.Governance); err != nil {
		return fmt.Errorf("address ledger: %w", err)
	}
	return nil
}

// count makes the meters, in the place of those that are there.
func (x Large) count(rules *policy.Rules, img *authority.Image) error {
	meters := map[[32]byte]*imageMeter{}
	takes := make([][]*imageMeter, x.Payees)
	for i := range takes {
		charges, err := rules.Charges(policy.Facts{Operation: request.Transfer, Initiator: x.Service, Evidence: policy.BySession, Wallet: x.Wallet, Chain: x.Chain, Asset: x.Chain.Native(),
			Total: custody.U64(1), FeeCap: custody.U64(1), Destinations: []policy.Destination{{Address: Payee(i), Amount: custody.U64(1), Kind: policy.Whitelisted}}}, custody.U64(1))
		if err != nil {
			return err
		}
		for _, c := range charges {
			key := rules.MeterName(c.Limit, c.Group)
			if meters[key] == nil {
				l, _ := rules.Limit(c.Limit)
				meters[key] = &imageMeter{Key: key, Limit: c.Limit, Group: c.Group, Window: l.Window}
			}
			takes[i] = append(takes[i], meters[key])
		}
	}
	const over = 2 * 86400
	now := x.Now.Unix()
	for i := range x.Events {
		at := now - over + int64(float64(i)*over/float64(x.Events))
		for _, m := range takes[i%x.Payees] {
			m.use(rules, at, now)
		}
	}
	all := make([]*imageMeter, 0, len(meters))
	for _, m := range meters {
		if len(m.Used) > 0 {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *imageMeter) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if err := canon.DecodeLarge(canon.Encode(all), &img.Meters); err != nil {
		return fmt.Errorf("meters: %w", err)
	}
	return nil
}

// use counts 1 at a time, unless that counts no more now. Times come in order.
func (m *imageMeter) use(rules *policy.Rules, at, now int64) {
	place := rules.Place(m.Window, at)
	if gone, ends := m.Window.Gone(place); ends && gone <= now {
		return
	}
	if n := len(m.Used); n == 0 || m.Used[n-1].Place != place {
		m.Used = append(m.Used, imageUse{Place: place})
	}
	u := &m.Used[len(m.Used)-1]
	u.Amount, _ = u.Amount.Add(custody.U64(1))
}
