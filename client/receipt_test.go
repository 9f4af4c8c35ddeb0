// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

func receiptView(r receipt, sig []byte) RequestView {
	return RequestView{ID: r.Request.String(), State: r.State, Receipt: &apiv1.Receipt{Seq: r.Seq, Leaf: hex.EncodeToString(r.Leaf[:]), State: r.State, Signature: sig}}
}

func TestReceiptsAreChecked(t *testing.T) {
	t.Parallel()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{authority: AuthorityID{1}, identity: pub}
	session := bytes.Repeat([]byte{5}, 32)
	good := receipt{Authority: c.authority, Domain: custody.DomainID(c.authority), Request: RequestID{2}, Seq: 7, Leaf: [32]byte{3}, State: "rejected", Act: [32]byte{4}}
	sign := func(r receipt) []byte { return ed25519.Sign(key, canon.Message(canon.TagReceipt, r)) }
	mac := func(r receipt) []byte {
		h := hmac.New(sha256.New, session)
		h.Write(canon.Message(canon.TagReceipt, r))
		return h.Sum(nil)
	}
	check := func(v RequestView, session []byte) error {
		return c.checkReceipt(context.Background(), good.Request, good.Act, v, session)
	}
	if err := errors.Join(check(receiptView(good, sign(good)), nil), check(receiptView(good, mac(good)), session)); err != nil {
		t.Fatalf("a good receipt: %v", err)
	}
	other, elsewhere, act, pending := good, good, good, good
	other.Seq, elsewhere.Request, act.Act, pending.State = 8, RequestID{9}, [32]byte{9}, "pending"
	short, state, id := receiptView(good, sign(good)), receiptView(pending, sign(pending)), receiptView(good, sign(good))
	short.Receipt.Leaf, state.State, id.ID = "00", "rejected", RequestID{9}.String()
	for name, v := range map[string]RequestView{
		"none": {}, "of another entry": receiptView(other, sign(good)), "of another request": receiptView(good, sign(elsewhere)),
		"of another act": receiptView(good, sign(act)), "with another state than the answer": state, "in an answer about another request": id,
		"without signature": receiptView(good, nil), "short leaf": short, "of a session": receiptView(good, mac(good)),
		"signed as a grant is": receiptView(good, ed25519.Sign(key, canon.Message(canon.TagReply, good))),
	} {
		if err := check(v, nil); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v, want ErrReceipt", name, err)
		}
	}
	for name, v := range map[string]RequestView{"signed": receiptView(good, sign(good)), "of another act": receiptView(good, mac(act))} {
		if err := check(v, session); !errors.Is(err, ErrReceipt) {
			t.Errorf("for a session, %s: %v, want ErrReceipt", name, err)
		}
	}
}

// roundTrip answers calls as a serve would that somebody broke into.
type roundTrip func(*http.Request) (int, any)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	code, v := f(r)
	b, err := json.Marshal(v)
	return &http.Response{StatusCode: code, Status: "x", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, err
}

// A receipt of something else that was said about the same request, which serve keeps, is no receipt of a decision that it drops.
func TestADecisionIsNotDroppedUnseen(t *testing.T) {
	t.Parallel()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, id := AuthorityID{1}, RequestID{2}
	mine := Approval{Request: id, Person: "p_aaaaaaaaaaaaaaaa", Decision: Reject, Key: "00", Sig: make([]byte, 64)}
	others := mine
	others.Person = "p_bbbbbbbbbbbbbbbb"
	for name, tt := range map[string]struct {
		act   [32]byte
		state string // as the receipt says
		want  error
	}{
		"the receipt of this decision":      {mine.Hash(), "rejected", nil},
		"of the request itself":             {[32]byte{7}, "rejected", ErrReceipt},
		"of another's decision":             {others.Hash(), "rejected", ErrReceipt},
		"of this one, with an other state":  {mine.Hash(), "pending", ErrReceipt},
		"of the request while it was asked": {[32]byte{7}, "pending", ErrReceipt},
	} {
		r := receipt{Authority: authority, Domain: custody.DomainID(authority), Request: id, Seq: 7, Leaf: [32]byte{3}, State: tt.state, Act: tt.act}
		c, err := New(Config{BaseURL: "https://x", Now: time.Now, Authority: authority, Identity: pub, Transport: roundTrip(func(*http.Request) (int, any) {
			v := receiptView(r, ed25519.Sign(key, canon.Message(canon.TagReceipt, r)))
			v.State = "rejected"
			return http.StatusOK, v
		})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Decide(t.Context(), mine); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// A request that serve keeps to itself is not told as handed in.
func TestARequestIsNotDroppedUnseen(t *testing.T) {
	t.Parallel()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	by, err := NewSigner("p_aaaaaaaaaaaaaaaa", key)
	if err != nil {
		t.Fatal(err)
	}
	authority := AuthorityID{1}
	for name, tt := range map[string]struct {
		sign func(Request) []byte // the receipt's signature
		want error
	}{
		"a receipt": {func(r Request) []byte {
			return ed25519.Sign(key, canon.Message(canon.TagReceipt, receipt{Authority: authority, Domain: custody.DomainID(authority), Request: r.ID(), State: "pending", Act: r.Hash()}))
		}, nil},
		"none": {func(Request) []byte { return nil }, ErrReceipt},
		"of the request with another body": {func(r Request) []byte {
			x := r
			x.NotAfter++
			return ed25519.Sign(key, canon.Message(canon.TagReceipt, receipt{Authority: authority, Domain: custody.DomainID(authority), Request: r.ID(), State: "pending", Act: x.Hash()}))
		}, ErrReceipt},
	} {
		c, err := New(Config{BaseURL: "https://x", Now: time.Now, Authority: authority, Identity: pub, Transport: roundTrip(func(q *http.Request) (int, any) {
			b, _ := io.ReadAll(q.Body)
			var f apiv1.SignedRequest
			if err := canon.Decode(b, &f); err != nil {
				t.Error(err)
			}
			var r Request
			if err := canon.Decode(f.Request, &r); err != nil {
				t.Error(err)
			}
			return http.StatusOK, RequestView{ID: r.ID().String(), State: "pending", Canonical: f.Request,
				Receipt: &apiv1.Receipt{Leaf: hex.EncodeToString(make([]byte, 32)), State: "pending", Signature: tt.sign(r)}}
		})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), by, Ask{Body: &AddressCreate{Wallet: "hot", Count: 1}}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
