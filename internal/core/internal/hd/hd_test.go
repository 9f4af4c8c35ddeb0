// SPDX-License-Identifier: Apache-2.0

package hd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"golang.org/x/crypto/sha3"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// harness is a deriver in an arena of its own; when the test ends nothing may be left in it.
type harness struct {
	*Deriver
	curve *curve.Backend
}

func newHarness(t testing.TB) harness {
	t.Helper()
	arena, err := secret.NewArena(secret.Config{Size: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := arena.Close(); err != nil {
			t.Errorf("something was not wiped: %v", err)
		}
	})
	backend, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Arena: arena, Curve: backend})
	if err != nil {
		t.Fatal(err)
	}
	return harness{d, backend}
}

// fataler is what testing.TB and rapid.T share.
type fataler interface {
	Helper()
	Fatal(...any)
}

func (h harness) master(t fataler, seed []byte) *Node {
	t.Helper()
	held, err := secret.Take(h.arena, bytes.Clone(seed))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Wipe()
	n, err := h.Master(held)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func unhex(t fataler, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t fataler, s string) secp.Path {
	t.Helper()
	p, err := secp.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (n *Node) derive(t fataler, path secp.Path) *Node {
	t.Helper()
	child, err := n.Derive(path)
	if err != nil {
		t.Fatal(err)
	}
	return child
}

func scalarOf(t fataler, n *Node) []byte {
	t.Helper()
	var sk []byte
	if err := n.Use(func(b []byte) error { sk = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return sk
}

// text serializes a node as BIP-32 says, private or public, with the oracle's encoder.
func text(t fataler, n *Node, version string, private bool) string {
	t.Helper()
	x, err := n.Neuter()
	if err != nil {
		t.Fatal(err)
	}
	pub := x.PublicKey.Compressed()
	key := pub[:]
	if private {
		key = scalarOf(t, n)
	}
	return hdkeychain.NewExtendedKey(unhex(t, version), key, x.ChainCode[:], x.ParentFingerprint[:], x.Depth, x.ChildNumber, private).String()
}

func TestBIP32Vectors(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if len(bip32Vectors) != 17 {
		t.Fatalf("%d chains, BIP-32 publishes 6 + 6 + 2 + 3", len(bip32Vectors))
	}
	for _, v := range bip32Vectors {
		t.Run(fmt.Sprintf("%d/%s", v.vector, strings.ReplaceAll(v.path, "/", "_")), func(t *testing.T) {
			master := h.master(t, unhex(t, bip32Seeds[v.vector]))
			defer master.Wipe()
			path := parse(t, v.path)
			whole := master.derive(t, path)
			defer whole.Wipe()
			if got := text(t, whole, "0488ade4", true); got != v.xprv {
				t.Errorf("xprv: got %s, want %s", got, v.xprv)
			}
			if got := text(t, whole, "0488b21e", false); got != v.xpub {
				t.Errorf("xpub: got %s, want %s", got, v.xpub)
			}
			public, err := whole.Neuter()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := public.Encode(secp.Mainnet); err != nil || got != v.xpub {
				t.Errorf("encoded: got %s, %v; want %s", got, err, v.xpub)
			}

			// Level by level gives the same as all at once.
			at := master.derive(t, nil)
			for i := range path {
				next := at.derive(t, path[i:i+1])
				at.Wipe()
				at = next
			}
			defer at.Wipe()
			if got := text(t, at, "0488ade4", true); got != v.xprv {
				t.Errorf("level by level: got %s, want %s", got, v.xprv)
			}
		})
	}
}

func TestBIP32InvalidScalars(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, xprv := range invalidScalars {
		payload := base58.Decode(xprv)
		if len(payload) != 82 || payload[45] != 0 {
			t.Fatalf("%s: the vector is mistyped", name)
		}
		if _, err := h.curve.PublicKey(payload[46:78]); !errors.Is(err, curve.ErrScalar) {
			t.Errorf("%s: got %v, want ErrScalar", name, err)
		}
		err := h.work(func(w *work) error {
			copy(w.scalar(), payload[46:78])
			_, err := h.finish(w, Node{})
			return err
		})
		if !errors.Is(err, curve.ErrScalar) {
			t.Errorf("%s: finished with %v, want ErrScalar", name, err)
		}
	}
}

func TestAccountVectors(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	master := h.master(t, unhex(t, abandonSeed))
	defer master.Wipe()
	for _, v := range accountVectors {
		n := master.derive(t, parse(t, v.path))
		if got := text(t, n, v.version, false); got != v.want {
			t.Errorf("%s: got %s, want %s", v.path, got, v.want)
		}
		n.Wipe()
	}
	for _, v := range addressVectors {
		n := master.derive(t, parse(t, v.path))
		pub := n.PublicKey().Compressed()
		if got := hex.EncodeToString(pub[:]); !strings.HasSuffix(got, v.pub) {
			t.Errorf("%s: got %s, want %s", v.path, got, v.pub)
		}
		if want, ok := outputVectors[v.path]; ok {
			if got, _, err := h.curve.TaprootOutput(n.PublicKey().XOnly(), nil); err != nil || hex.EncodeToString(got[:]) != want {
				t.Errorf("%s: output key %x, %v; want %s", v.path, got, err, want)
			}
		}
		n.Wipe()
	}
	ether := master.derive(t, parse(t, "m/44'/60'/0'/0/0"))
	defer ether.Wipe()
	point := ether.PublicKey().Uncompressed()
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(point[1:])
	if got := hex.EncodeToString(keccak.Sum(nil)[12:]); got != "9858effd232b4033e47d90003d41ec34ecaeda94" {
		t.Errorf("first Ethereum address: got %s", got)
	}
}

func TestHMACStaysOffTheHeap(t *testing.T) {
	h := newHarness(t)
	if err := h.work(func(w *work) error {
		if n := testing.AllocsPerRun(50, func() { w.hmac(w.chain(), 37) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, cfg := range map[string]Config{"zero": {}, "no curve": {Arena: h.arena}, "no arena": {Curve: h.curve}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("config %s was accepted", name)
		}
	}
	for _, size := range []int{1, MinSeedSize - 1, MaxSeedSize + 1, 1000} {
		seed, err := secret.Take(h.arena, make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Master(seed); !errors.Is(err, ErrSeed) {
			t.Errorf("seed of %d bytes: got %v, want ErrSeed", size, err)
		}
		seed.Wipe()
		if _, err := h.Master(seed); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("wiped seed: got %v, want ErrWiped", err)
		}
	}
	master := h.master(t, make([]byte, MaxSeedSize))
	deepest := master.derive(t, make(secp.Path, secp.MaxDepth))
	defer deepest.Wipe()
	if _, err := deepest.Derive(secp.Path{0}); !errors.Is(err, secp.ErrTooDeep) {
		t.Errorf("depth 256: got %v, want ErrTooDeep", err)
	}
	if _, err := master.Derive(make(secp.Path, secp.MaxDepth+1)); !errors.Is(err, secp.ErrTooDeep) {
		t.Errorf("256 levels: got %v, want ErrTooDeep", err)
	}
	master.Wipe()
	_, err := master.Derive(secp.Path{0})
	_, neuter := master.Neuter()
	for name, err := range map[string]error{"derive": err, "neuter": neuter, "use": master.Use(func([]byte) error { return nil }), "mask": master.Mask()} {
		if !errors.Is(err, secret.ErrWiped) {
			t.Errorf("%s after wipe: got %v, want ErrWiped", name, err)
		}
	}
}

// TestNoChild gives the step that follows the HMAC results at which BIP-32 says no key exists; no known input leads to them.
func TestNoChild(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	const orderLess5 = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036413c"
	for name, left := range map[string]string{"I_L is n": order, "child is 0": orderLess5} {
		err := h.work(func(w *work) error {
			w.scalar()[31] = 5
			copy(w.sum, unhex(t, left))
			return h.apply(w)
		})
		if !errors.Is(err, secp.ErrNoChild) {
			t.Errorf("%s: got %v, want ErrNoChild", name, err)
		}
	}
}

func TestFullArena(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	master := h.master(t, make([]byte, MinSeedSize))
	defer master.Wipe()
	var held []secret.Bytes
	for {
		b, err := secret.New(h.arena, 512, func([]byte) error { return nil })
		if err != nil {
			break
		}
		held = append(held, b)
	}
	if _, err := master.Derive(secp.Path{0}); !errors.Is(err, secret.ErrArenaFull) {
		t.Errorf("got %v, want ErrArenaFull", err)
	}
	for _, b := range held {
		b.Wipe()
	}
}

func TestPrintsNothingSecret(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	n := h.master(t, unhex(t, abandonSeed))
	defer n.Wipe()
	sk := scalarOf(t, n)
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		for _, v := range []any{n, *n, struct{ N *Node }{n}} {
			got := fmt.Sprintf(format, v)
			for _, form := range []string{hex.EncodeToString(sk[:4]), strings.Trim(fmt.Sprint(sk[:4]), "[]"), string(sk[:4])} {
				if strings.Contains(got, form) {
					t.Errorf("%s of %T shows the scalar: %s", format, v, got)
				}
			}
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	h := newHarness(b)
	master := h.master(b, unhex(b, abandonSeed))
	defer master.Wipe()
	account := master.derive(b, parse(b, "m/84'/0'/0'"))
	defer account.Wipe()
	for name, bench := range map[string]struct {
		from *Node
		path secp.Path
	}{"from_master": {master, parse(b, "m/84'/0'/0'/0/7")}, "from_account": {account, secp.Path{0, 7}}, "one_hardened": {master, parse(b, "m/84'")}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.from.derive(b, bench.path).Wipe()
			}
		})
	}
}
