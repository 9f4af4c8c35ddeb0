// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// walletServe is a serve that tells of wallets, and may lie.
type walletServe struct {
	wallet    client.Wallet
	addresses []client.Address
	proof     any // a file, or a problem
	asked     string
}

func (s *walletServe) answer(r *http.Request, _ []byte) (int, any) {
	switch p := r.URL.Path; {
	case strings.HasSuffix(p, "/proof"):
		s.asked = p
		if _, ok := s.proof.([]byte); !ok {
			return http.StatusNotFound, s.proof
		}
		return http.StatusOK, s.proof
	case strings.HasSuffix(p, "/addresses"):
		return http.StatusOK, client.AddressList{Addresses: s.addresses}
	default:
		return http.StatusOK, s.wallet
	}
}

// makeWallet makes a wallet in a real domain, and gives it with the proof of its request.
func makeWallet(t *testing.T, h *domaintest.Harness, id custody.WalletID, chain custody.ChainID, scheme request.Scheme) (entry.Wallet, []byte) {
	t.Helper()
	v, err := h.Submit(h.Alice, h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: id, Chain: chain, Scheme: scheme}), nil)
	if err == nil {
		v, err = h.Decide(h.Bob, v, request.Approve)
	}
	if err != nil || v.State != message.StateExecuted {
		t.Fatalf("%v, %+v", err, v)
	}
	w, err := h.D.Wallet(id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.D.Proof(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	return w.Wallet, p
}

// honest tells of a wallet as it is.
func honest(t *testing.T, w entry.Wallet, branch uint32, proof []byte) walletServe {
	t.Helper()
	at := func(p entry.KeyPath) string {
		d, err := authority.Derive(w, p)
		if err != nil {
			t.Fatal(err)
		}
		return d.Address
	}
	s := walletServe{proof: proof, wallet: client.Wallet{ID: w.ID, Chain: w.Chain, Scheme: w.Scheme, Seed: w.Key, Account: w.Account, Public: w.Public, ChainCode: w.ChainCode[:],
		Master: hex.EncodeToString(w.Master[:]), Parent: hex.EncodeToString(w.Parent[:]), NextReceive: 3, Address: at(entry.KeyPath{})}}
	for i := range uint32(3) {
		s.addresses = append(s.addresses, client.Address{Branch: branch, Index: i, Address: at(entry.KeyPath{Branch: branch, Index: i})})
	}
	return s
}

// An address is shown only if it follows from the wallet's account key, which the log records.
func TestAddressesAreTheWalletsOwn(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	hot, hotProof := makeWallet(t, h, "hot", domaintest.Chain, request.SchemeEVM)
	cold, coldProof := makeWallet(t, h, "cold", custody.BitcoinRegtest, request.SchemeP2TR)
	elsewhere := domaintest.New(t, domaintest.Options{})
	stolen, stolenProof := makeWallet(t, elsewhere, "hot", domaintest.Chain, request.SchemeEVM)

	d, err := encodeJSON(domainFileOf(h.D.ID(), h.Genesis))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "domain.json")
	if err := os.WriteFile(path, d, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(s *walletServe, change bool) (out string, listed, shown error) {
		t.Helper()
		var b bytes.Buffer
		e := &env{root: &root{Domain: path, Output: "table"}, Streams: Streams{Out: &b, Err: &b}, ctx: t.Context()}
		c, err := client.New(client.Config{BaseURL: "https://x", Now: time.Now, Transport: lyingServe(s.answer)})
		if err != nil {
			t.Fatal(err)
		}
		listed = (&addressList{Wallet: string(s.wallet.ID), Change: change}).list(e, c)
		shown = (&walletShow{Name: string(s.wallet.ID)}).shown(e, c)
		return b.String(), listed, shown
	}
	for _, tt := range []struct {
		w      entry.Wallet
		proof  []byte
		branch uint32
	}{{hot, hotProof, 0}, {cold, coldProof, 0}, {cold, coldProof, 1}} {
		s := honest(t, tt.w, tt.branch, tt.proof)
		out, listed, shown := run(&s, tt.branch == 1)
		if listed != nil || shown != nil || !strings.Contains(out, s.addresses[2].Address) || !strings.Contains(out, s.wallet.Address) {
			t.Fatalf("%s, branch %d: %v, %v, wrote %q", tt.w.ID, tt.branch, listed, shown, out)
		}
		if want := "/v1/wallets/" + string(tt.w.ID) + "/proof"; s.asked != want {
			t.Errorf("asked for %s, want %s", s.asked, want)
		}
	}

	evil := honest(t, stolen, 0, nil)
	broken := bytes.Clone(hotProof)
	broken[len(broken)/2] ^= 1
	notFound := apiv1.Problem{Kind: problem.NotFound, Detail: "there is no proof"}
	for name, tt := range map[string]struct {
		lie    func(s *walletServe)
		listed string // what is wrong with the list, or empty
		shown  string // and with the wallet
	}{
		"an address of the attacker": {func(s *walletServe) {
			s.addresses[1].Address, s.wallet.Address = domaintest.Stranger, domaintest.Stranger
		},
			"not the wallet's", "not the wallet's"},
		"another number":               {func(s *walletServe) { s.addresses[1].Index = 5 }, "not the wallet's", ""},
		"a number that no address has": {func(s *walletServe) { s.addresses[1].Index = 1 << 31 }, "not the wallet's", ""},
		"another branch":               {func(s *walletServe) { s.addresses[1].Branch = 1 }, "not the wallet's", ""},
		"another account key": {func(s *walletServe) {
			s.wallet.Public, s.wallet.Address, s.addresses = evil.wallet.Public, evil.wallet.Address, evil.addresses
		}, "not the wallet's", "another wallet"},
		"another chain code":               {func(s *walletServe) { s.wallet.ChainCode = bytes.Repeat([]byte{1}, 32) }, "", "another wallet"},
		"all of another domain's wallet":   {func(s *walletServe) { *s = evil; s.proof = stolenProof }, "does not hold", "does not hold"},
		"a proof of another wallet":        {func(s *walletServe) { s.proof = coldProof }, "says nothing of wallet hot", "says nothing of wallet hot"},
		"a byte of the proof changed":      {func(s *walletServe) { s.proof = broken }, "does not hold", "does not hold"},
		"no proof":                         {func(s *walletServe) { s.proof = notFound }, "there is no proof", "there is no proof"},
		"another spelling of the address":  {func(s *walletServe) { s.addresses[0].Address = strings.ToLower(s.addresses[0].Address) }, "not the wallet's", ""},
		"a wallet that can't be decoded":   {func(s *walletServe) { s.wallet.Master = "x" }, "", "malformed"},
		"an escape in place of an address": {func(s *walletServe) { s.addresses[0].Address = "\x1b[1A" }, "not the wallet's", ""},
	} {
		s := honest(t, hot, 0, hotProof)
		tt.lie(&s)
		out, listed, shown := run(&s, false)
		for what, x := range map[string]struct {
			err  error
			want string
		}{"list": {listed, tt.listed}, "show": {shown, tt.shown}} {
			if x.want == "" {
				if x.err != nil {
					t.Errorf("%s: %s: %v", name, what, x.err)
				}
				continue
			}
			alarm := name != "no proof" && !strings.Contains(x.want, "malformed")
			if x.err == nil || !strings.Contains(x.err.Error(), x.want) || alarm != (statusOf(x.err) == exitAlarm) {
				t.Errorf("%s: %s: %v (status %d), want %s", name, what, x.err, statusOf(x.err), x.want)
			}
		}
		if tt.listed != "" && tt.shown != "" && out != "" {
			t.Errorf("%s: wrote %q", name, out)
		}
	}
}
