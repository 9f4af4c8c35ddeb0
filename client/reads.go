// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// Status tells how core, log and nodes are.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", nil, &s)
}

// Chains tells how the nodes are.
func (c *Client) Chains(ctx context.Context) ([]Chain, error) {
	var l apiv1.ChainList
	err := c.get(ctx, "/v1/chains", nil, &l)
	return l.Chains, err
}

func page(cursor string, limit int) url.Values {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// Wallets lists wallets in order of birth.
func (c *Client) Wallets(ctx context.Context, cursor string, limit int) (l WalletList, err error) {
	return l, c.get(ctx, "/v1/wallets", page(cursor, limit), &l)
}

// AppGrants lists the grants to applications, oldest first.
func (c *Client) AppGrants(ctx context.Context, cursor string, limit int) (l AppGrantList, err error) {
	return l, c.get(ctx, "/v1/app-grants", page(cursor, limit), &l)
}

// Wallet reads a wallet.
func (c *Client) Wallet(ctx context.Context, id WalletID) (w Wallet, err error) {
	return w, c.get(ctx, "/v1/wallets/"+url.PathEscape(string(id)), nil, &w)
}

// WalletProof reads a proof file that holds the entry which made the wallet: package verify checks it, and the wallet's account key in it
// gives every address of the wallet without serve's word.
func (c *Client) WalletProof(ctx context.Context, id WalletID) ([]byte, error) {
	return c.send(ctx, http.MethodGet, "/v1/wallets/"+url.PathEscape(string(id))+"/proof", nil, nil, nil)
}

// Addresses lists addresses of a wallet: branch 0 receives, 1 is change.
func (c *Client) Addresses(ctx context.Context, id WalletID, branch uint32, cursor string, limit int) (l AddressList, err error) {
	q := page(cursor, limit)
	q.Set("branch", strconv.FormatUint(uint64(branch), 10))
	return l, c.get(ctx, "/v1/wallets/"+url.PathEscape(string(id))+"/addresses", q, &l)
}

// Balances tells what a wallet holds, as nodes say.
func (c *Client) Balances(ctx context.Context, id WalletID) ([]Balance, error) {
	var l apiv1.BalanceList
	err := c.get(ctx, "/v1/wallets/"+url.PathEscape(string(id))+"/balances", nil, &l)
	return l.Balances, err
}

// Policy reads the current rule document.
func (c *Client) Policy(ctx context.Context) (p PolicyView, err error) {
	return p, c.get(ctx, "/v1/policy", nil, &p)
}

// Persons lists persons and services of the rule document.
func (c *Client) Persons(ctx context.Context) ([]Principal, error) {
	var l apiv1.PersonList
	err := c.get(ctx, "/v1/persons", nil, &l)
	return l.Persons, err
}

// Groups lists groups of the rule document.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	var l apiv1.GroupList
	err := c.get(ctx, "/v1/groups", nil, &l)
	return l.Groups, err
}

// AddressBook lists the address book, page by page until its end.
func (c *Client) AddressBook(ctx context.Context) (all []BookEntry, err error) {
	for cursor := ""; ; {
		var l apiv1.AddressBook
		if err := c.get(ctx, "/v1/address-book", page(cursor, 1000), &l); err != nil {
			return nil, err
		}
		all = append(all, l.Entries...)
		if cursor = l.Next; cursor == "" {
			return all, nil
		}
	}
}

// Blacklist lists the addresses that nothing is paid to.
func (c *Client) Blacklist(ctx context.Context) ([]BlockedAddress, error) {
	var l apiv1.Blacklist
	err := c.get(ctx, "/v1/blacklist", nil, &l)
	return l.Addresses, err
}

// StartCheck starts the full re-check of the log.
func (c *Client) StartCheck(ctx context.Context) (k Check, err error) {
	return k, c.call(ctx, http.MethodPost, "/v1/audit/check", nil, nil, &k)
}

// Check tells how the re-check goes.
func (c *Client) Check(ctx context.Context) (k Check, err error) {
	return k, c.get(ctx, "/v1/audit/check", nil, &k)
}

// Entries reads the log in clear from an entry on, waiting up to wait, at most 30 seconds, if there is none yet.
func (c *Client) Entries(ctx context.Context, from uint64, limit int, wait time.Duration) (l EntryList, err error) {
	q := page("", limit)
	q.Set("from", strconv.FormatUint(from, 10))
	q.Set("wait", strconv.Itoa(int(wait/time.Second)))
	return l, c.get(ctx, "/v1/audit/entries", q, &l)
}

// Checkpoint reads the signed checkpoint of the tiles (C2SP tlog-checkpoint).
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.send(ctx, http.MethodGet, "/checkpoint", nil, nil, nil)
}

// Tile reads a tile or entry bundle (C2SP tlog-tiles), for instance "0/000" or "entries/000.p/7".
func (c *Client) Tile(ctx context.Context, path string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, "/tile/"+path, nil, nil, nil)
}

// Certify gets a client certificate for the key of a certificate request (PKCS #10, DER) in the signer's name. It gives the
// certificate and serve's authority, both DER.
func (c *Client) Certify(ctx context.Context, by Signer, csr []byte) (certificate, authority []byte, err error) {
	a, _, err := c.domain(ctx)
	if err != nil {
		return nil, nil, err
	}
	st := apiv1.CertificateStatement{V: 1, Authority: a, Domain: custody.DomainID(a), Person: by.Person(), Request: sha256.Sum256(csr),
		NotAfter: c.now().Add(10 * time.Minute).Unix()}
	sig, err := by.Sign(st.Message())
	if err != nil {
		return nil, nil, err
	}
	var v apiv1.CertificateView
	in := apiv1.CertificateIn{CSR: csr, Key: by.Public().Ref(), NotAfter: st.NotAfter, Signature: sig}
	err = c.call(ctx, http.MethodPost, "/v1/persons/"+string(by.Person())+"/certificates", nil, in, &v)
	return v.Certificate, v.Authority, err
}

// walletEntry gives a wallet as the log records it.
func walletEntry(w Wallet) (entry.Wallet, error) {
	e := entry.Wallet{ID: w.ID, Chain: w.Chain, Scheme: w.Scheme, Key: w.Seed, Account: w.Account, Public: w.Public, Class: w.Class}
	master, err1 := hex.DecodeString(w.Master)
	parent, err2 := hex.DecodeString(w.Parent)
	if err := errors.Join(err1, err2); err != nil || len(master) != 4 || len(parent) != 4 || len(w.ChainCode) != 32 {
		return e, fmt.Errorf("wallet %s: fingerprints or chain code are malformed", w.ID)
	}
	e.Master, e.Parent, e.ChainCode = [4]byte(master), [4]byte(parent), [32]byte(w.ChainCode)
	return e, nil
}

// pathOf gives the path of a receiving address.
func pathOf(index uint32) entry.KeyPath { return entry.KeyPath{Index: index} }

// ProvenStatus gives the core's status as the domain signed it: canonical, for the caller to decode (docs/spec/domain.md). It is of now,
// because a nonce drawn here is signed too, and it is the domain's own word, also where serve lies.
func (c *Client) ProvenStatus(ctx context.Context) ([]byte, error) {
	authority, identity, err := c.domain(ctx)
	if err != nil {
		return nil, err
	}
	var nonce [16]byte
	rand.Read(nonce[:])
	var v apiv1.SignedStatus
	if err := c.get(ctx, "/v1/status/signed", url.Values{"nonce": {hex.EncodeToString(nonce[:])}}, &v); err != nil {
		return nil, err
	}
	if !ed25519.Verify(identity, canon.TagBytes(canon.TagStatus, v.Statement), v.Signature) {
		return nil, fmt.Errorf("%w: the status is not signed by the domain", ErrDisagrees)
	}
	var st struct {
		Authority AuthorityID      `cbor:"1,keyasint"`
		Domain    custody.DomainID `cbor:"2,keyasint"`
		Nonce     []byte           `cbor:"3,keyasint"`
		Status    canon.Raw        `cbor:"4,keyasint"`
	}
	if err := canon.Decode(v.Statement, &st); err != nil {
		return nil, fmt.Errorf("signed status: %w", err)
	}
	if st.Authority != authority || !bytes.Equal(st.Nonce, nonce[:]) {
		return nil, fmt.Errorf("%w: the signed status is of another domain, or of an earlier time", ErrDisagrees)
	}
	return st.Status, nil
}
