// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// passkey gives key number i as one that is used in a browser.
func passkey(i int, origin string) request.PublicKey {
	return request.PublicKey{Alg: request.PasskeyEd25519, Pub: key(i).Pub, RP: "example.org", Origin: origin}
}

// A person's keys come and go, each told, until one is left; what was there before is not touched.
func TestKeysComeAndGo(t *testing.T) {
	t.Parallel()
	d := sample()
	for i := range policy.MaxKeys - 1 {
		next, err := d.WithKey(custody.Production, request.PersonKeyAddBody{Person: alice, Key: passkey(50+i, "https://a.example.org")})
		if err != nil {
			t.Fatal(err)
		}
		d = next
	}
	_, err := d.WithKey(custody.Production, request.PersonKeyAddBody{Person: alice, Key: key(90)})
	mustContain(t, err, "has 9 keys")
	if n := len(d.Principals[0].Keys); n != policy.MaxKeys || d.Version != uint64(policy.MaxKeys) {
		t.Fatalf("%d keys in version %d", n, d.Version)
	}
	for len(d.Principals[0].Keys) > 1 {
		k := d.Principals[0].Keys[0].Ref()
		next, err := d.WithoutKey(custody.Production, request.PersonKeyRemoveBody{Person: alice, Key: k})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := policy.Diff(d, next), []string{string(alice) + " loses key " + string(k)}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		d = next
	}
	_, err = d.WithoutKey(custody.Production, request.PersonKeyRemoveBody{Person: alice, Key: d.Principals[0].Keys[0].Ref()})
	mustContain(t, err, "is the last key of")
}

// Keys of somebody who is revoked stay as they are.
func TestKeysOfTheRevoked(t *testing.T) {
	t.Parallel()
	d, err := sample().WithKey(custody.Production, request.PersonKeyAddBody{Person: dave, Key: key(50)})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = d.WithoutPerson(custody.Production, request.PersonRevokeBody{Person: dave}); err != nil {
		t.Fatal(err)
	}
	_, err = d.WithKey(custody.Production, request.PersonKeyAddBody{Person: dave, Key: key(51)})
	mustContain(t, err, "is revoked")
	_, err = d.WithoutKey(custody.Production, request.PersonKeyRemoveBody{Person: dave, Key: key(50).Ref()})
	mustContain(t, err, "is revoked")
}

// Where a passkey is used is told, and is not changed by a new document: the one who has it never said so.
func TestDiffTellsWhereAPasskeyIsUsed(t *testing.T) {
	t.Parallel()
	was, is := passkey(50, "https://a.example.org"), passkey(50, "https://b.example.org")
	d, err := sample().WithKey(custody.Production, request.PersonKeyAddBody{Person: alice, Key: was})
	if err != nil {
		t.Fatal(err)
	}
	next, err := policy.DecodeDocument(d.Encode())
	if err != nil {
		t.Fatal(err)
	}
	next.Version, next.PrevHash, next.Principals[0].Keys[1] = d.Version+1, d.Hash(), is
	want := []string{string(alice) + " gains key " + string(is.Ref()), string(alice) + " loses key " + string(was.Ref())}
	if got := policy.Diff(d, next); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = d.WithDocument(custody.Production, next)
	mustContain(t, err, "is new; keys come in with")
}
