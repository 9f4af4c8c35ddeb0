// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"strongroom/internal/pure/tlog"
)

// The tree of RFC 6962's reference test: leaves and roots as published with Certificate Transparency's reference implementation.
var ctLeaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}

var ctRoots = []string{
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

func TestFrontierGivesThePublishedRoots(t *testing.T) {
	t.Parallel()
	var f tlog.Frontier
	if got, want := f.Root(), rfc6962.DefaultHasher.EmptyRoot(); !bytes.Equal(got[:], want) {
		t.Errorf("empty root %x, want %x", got, want)
	}
	for i, l := range ctLeaves {
		leaf, err := hex.DecodeString(l)
		if err != nil {
			t.Fatal(err)
		}
		f.Append(tlog.LeafHash(leaf))
		if root := f.Root(); hex.EncodeToString(root[:]) != ctRoots[i] {
			t.Errorf("root of %d leaves is %x, want %s", i+1, root, ctRoots[i])
		}
	}
}

func TestHashesAgreeWithSecondImplementation(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 32, 510, 511, 512, 513, 4096, 65535} {
		leaf := bytes.Repeat([]byte{byte(n)}, n)
		got := tlog.LeafHash(leaf)
		if want := rfc6962.DefaultHasher.HashLeaf(leaf); !bytes.Equal(got[:], want) {
			t.Errorf("leaf of %d bytes: %x, want %x", n, got, want)
		}
		node := tlog.NodeHash(got, tlog.EmptyRoot())
		empty := tlog.EmptyRoot()
		if want := rfc6962.DefaultHasher.HashChildren(got[:], empty[:]); !bytes.Equal(node[:], want) {
			t.Errorf("node over %d bytes: %x, want %x", n, node, want)
		}
	}
}

// tree is the naive model: all leaf hashes in memory.
type tree [][32]byte

func grow(n int) tree {
	t := make(tree, n)
	for i := range t {
		t[i] = tlog.LeafHash(fmt.Appendf(nil, "leaf %d", i))
	}
	return t
}

func (m tree) frontier() tlog.Frontier {
	var f tlog.Frontier
	for _, h := range m {
		f.Append(h)
	}
	return f
}

// root follows the recursive definition of RFC 6962 section 2.1.
func (m tree) root() [32]byte {
	switch n := len(m); n {
	case 0:
		return tlog.EmptyRoot()
	case 1:
		return m[0]
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		return tlog.NodeHash(m[:k].root(), m[k:].root())
	}
}

func (m tree) read(nodes []tlog.Node) ([][32]byte, error) {
	out := make([][32]byte, len(nodes))
	for i, n := range nodes {
		from, to := n.Index<<n.Level, (n.Index+1)<<n.Level
		if to > uint64(len(m)) {
			return nil, errors.New("node outside the tree")
		}
		out[i] = m[from:to].root()
	}
	return out, nil
}

func TestFrontierAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 700).Draw(t, "leaves")
		m := grow(n)
		f := m.frontier()
		if f.Size() != uint64(n) || f.Root() != m.root() {
			t.Fatalf("frontier of %d leaves is not the tree", n)
		}
		if last, known := f.LastLeaf(); known != (n%2 == 1) || known && last != m[n-1] {
			t.Fatalf("last leaf of %d: %x %v", n, last, known)
		}
		// The same tree, made of subtrees at a random cut.
		var g tlog.Frontier
		level := rapid.Uint8Range(0, 6).Draw(t, "level")
		for i := 0; i+1<<level <= n; i += 1 << level {
			if err := g.AppendSubtree(level, m[i:i+1<<level].root()); err != nil {
				t.Fatal(err)
			}
		}
		for i := int(g.Size()); i < n; i++ {
			g.Append(m[i])
		}
		if g != f {
			t.Fatal("frontier of subtrees differs from frontier of leaves")
		}
		// Encoding, and that a copy is independent.
		back, err := tlog.UnmarshalFrontier(f.Marshal())
		if err != nil || back != f {
			t.Fatalf("round trip: %v", err)
		}
		kept := f
		f.Append(tlog.LeafHash(nil))
		if kept != back || kept.Size() == f.Size() {
			t.Fatal("appending changed a copy")
		}
		// A second implementation.
		r := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
		for _, h := range m {
			if err := r.Append(h[:], nil); err != nil {
				t.Fatal(err)
			}
		}
		want, err := r.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := kept.Root(); n > 0 && !bytes.Equal(got[:], want) {
			t.Fatalf("root %x, second implementation %x", got, want)
		}
	})
}

func TestAppendSubtreeRefusesWhatHasNoPlace(t *testing.T) {
	t.Parallel()
	f := grow(3).frontier()
	before := f
	for _, level := range []uint8{1, 2, 60, 61, 64, 255} {
		if err := f.AppendSubtree(level, tlog.EmptyRoot()); !errors.Is(err, tlog.ErrSize) {
			t.Errorf("level %d on 3 leaves: %v, want ErrSize", level, err)
		}
	}
	if f != before {
		t.Error("a refusal changed the frontier")
	}
}

func TestUnmarshalFrontierRefuses(t *testing.T) {
	t.Parallel()
	f := grow(5).frontier()
	good := f.Marshal()
	for name, b := range map[string][]byte{
		"nothing":      nil,
		"trailing":     append(bytes.Clone(good), 0),
		"cut":          good[:len(good)-1],
		"peaks short":  append([]byte{0xa2, 0x01, 0x07}, good[3:]...),
		"peaks long":   append([]byte{0xa2, 0x01, 0x04}, good[3:]...),
		"size too big": append([]byte{0xa2, 0x01, 0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0}, good[3:]...),
		"peak of 31":   append(append(bytes.Clone(good[:len(good)-34]), 0x58, 31), good[len(good)-31:]...),
	} {
		if _, err := tlog.UnmarshalFrontier(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestProofsAgreeWithSecondImplementation(t *testing.T) {
	t.Parallel()
	const max = 70
	m := grow(max)
	h := rfc6962.DefaultHasher
	for size := uint64(1); size <= max; size++ {
		root := m[:size].root()
		if got, err := tlog.RootAt(m.read, size); err != nil || got != root {
			t.Fatalf("root at %d: %x, %v", size, got, err)
		}
		for i := uint64(0); i < size; i++ {
			p, err := tlog.ProveInclusion(m.read, i, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.VerifyInclusion(p, i, size, m[i], root); err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyInclusion(h, i, size, m[i][:], slices(p), root[:]); err != nil {
				t.Fatalf("second implementation refuses leaf %d of %d: %v", i, size, err)
			}
			for j := range p {
				p[j][31] ^= 1
				if err := tlog.VerifyInclusion(p, i, size, m[i], root); !errors.Is(err, tlog.ErrProof) {
					t.Fatalf("altered proof of leaf %d of %d: %v", i, size, err)
				}
				p[j][31] ^= 1
			}
			if err := tlog.VerifyInclusion(append(p, root), i, size, m[i], root); !errors.Is(err, tlog.ErrProof) {
				t.Fatalf("longer proof of leaf %d of %d: %v", i, size, err)
			}
			if i > 0 {
				p, err := tlog.ProveConsistency(m.read, i, size)
				if err != nil {
					t.Fatal(err)
				}
				old := m[:i].root()
				if err := tlog.VerifyConsistency(p, i, size, old, root); err != nil {
					t.Fatal(err)
				}
				if err := proof.VerifyConsistency(h, i, size, slices(p), old[:], root[:]); err != nil {
					t.Fatalf("second implementation refuses %d to %d: %v", i, size, err)
				}
				if err := tlog.VerifyConsistency(p, i, size, root, root); !errors.Is(err, tlog.ErrProof) {
					t.Fatalf("another old root: %v", err)
				}
			}
		}
	}
}

func slices(p [][32]byte) [][]byte {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return out
}

func TestProofsOutsideTheTreeAreRefused(t *testing.T) {
	t.Parallel()
	m := grow(4)
	for name, err := range map[string]error{
		"inclusion, index = size":     second(tlog.ProveInclusion(m.read, 4, 4)),
		"inclusion, size too large":   second(tlog.ProveInclusion(m.read, 0, tlog.MaxSize+1)),
		"consistency from 0":          second(tlog.ProveConsistency(m.read, 0, 4)),
		"consistency backwards":       second(tlog.ProveConsistency(m.read, 5, 4)),
		"root too large":              second(tlog.RootAt(m.read, 1<<63)),
		"verify inclusion, index":     tlog.VerifyInclusion(nil, 1<<63, 1<<63, m[0], m[0]),
		"verify consistency from 0":   tlog.VerifyConsistency(nil, 0, 4, m[0], m[0]),
		"verify consistency to 2^63":  tlog.VerifyConsistency(nil, 1, 1<<63, m[0], m[0]),
		"verify consistency backward": tlog.VerifyConsistency(nil, 5, 4, m[0], m[0]),
	} {
		if !errors.Is(err, tlog.ErrSize) {
			t.Errorf("%s: %v, want ErrSize", name, err)
		}
	}
	short := func([]tlog.Node) ([][32]byte, error) { return nil, nil }
	if _, err := tlog.ProveInclusion(short, 0, 4); err == nil {
		t.Error("a reader that gives too few hashes was believed")
	}
}

func second[T any](_ T, err error) error { return err }

func TestTilePaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{tlog.Tile{Index: 1234067, Width: 256}.Path(), "tile/0/x001/x234/067"}, // C2SP tlog-tiles, "Merkle Tree"
		{tlog.Tile{Level: 1, Index: 0, Width: 1}.Path(), "tile/1/000.p/1"},
		{tlog.Tile{Level: 2, Index: 999, Width: 255}.Path(), "tile/2/999.p/255"},
		{tlog.Tile{Level: 0, Index: 1000, Width: 256}.Path(), "tile/0/x001/000"},
		{tlog.BundlePath(0, 256), "tile/entries/000"},
		{tlog.BundlePath(1234067, 7), "tile/entries/x001/x234/067.p/7"},
	} {
		if c.got != c.want {
			t.Errorf("path %s, want %s", c.got, c.want)
		}
	}
	// The Go checksum database's paths differ in naming the height only.
	rapid.Check(t, func(t *rapid.T) {
		tile := tlog.Tile{Level: rapid.Uint8Range(0, 7).Draw(t, "level"), Index: rapid.Uint64Range(0, 1<<40).Draw(t, "index"), Width: rapid.IntRange(1, 256).Draw(t, "width")}
		other := sumdb.Tile{H: 8, L: int(tile.Level), N: int64(tile.Index), W: tile.Width}.Path()
		if got := "tile/8/" + tile.Path()[len("tile/"):]; got != other {
			t.Fatalf("path %s, sumdb %s", got, other)
		}
	})
}

func TestTilesOfTheSpecsExample(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size    uint64
		level   uint8
		full    uint64
		partial int
	}{{70000, 0, 273, 112}, {70000, 1, 1, 17}, {70000, 2, 0, 1}, {70000, 3, 0, 0}, {256, 0, 1, 0}, {256, 1, 0, 1}, {70000, 8, 0, 0}, {70000, 255, 0, 0}} {
		if full, partial := tlog.TilesOf(c.size, c.level); full != c.full || partial != c.partial {
			t.Errorf("size %d level %d: %d full and %d, want %d and %d", c.size, c.level, full, partial, c.full, c.partial)
		}
	}
}

func TestTileContent(t *testing.T) {
	t.Parallel()
	m := grow(256)
	b := tlog.EncodeTile(m[:7])
	back, err := tlog.DecodeTile(b, 7)
	if err != nil || len(back) != 7 || back[6] != m[6] {
		t.Fatalf("tile round trip: %v", err)
	}
	for _, width := range []int{-1, 0, 6, 8, 257} {
		if _, err := tlog.DecodeTile(b, width); !errors.Is(err, tlog.ErrTile) {
			t.Errorf("width %d: %v, want ErrTile", width, err)
		}
	}
	if tlog.SubtreeRoot(m) != m.root() {
		t.Error("root over a full tile is not the tree's")
	}
	if _, err := tlog.AppendBundle(nil, make([]byte, tlog.MaxLeaf+1)); !errors.Is(err, tlog.ErrTile) {
		t.Errorf("leaf too long: %v", err)
	}
	long := bytes.Repeat([]byte{0, 0}, 257)
	for name, b := range map[string][]byte{"half a length": {0}, "half a leaf": {0, 2, 1}, "257 leaves": long} {
		if _, err := tlog.ParseBundle(b); !errors.Is(err, tlog.ErrTile) {
			t.Errorf("%s: %v, want ErrTile", name, err)
		}
	}
}
