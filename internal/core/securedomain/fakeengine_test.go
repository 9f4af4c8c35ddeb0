// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync/atomic"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// fakeEngine is as little of an engine as shows what the domain does with one: it makes keys for HMAC, signs with them and seals them anew. It can be
// held up, and can fail after it has used a key.
type fakeEngine struct {
	enter func(c ep11.Call)            // called before a call is done
	leave func(c ep11.Call)            // called after one was done
	fail  atomic.Pointer[error]        // of a call, after its use
	done  atomic.Int64                 // calls done
	made  atomic.Int64                 // pairs
	pair  func(bits int) error         // called before a pair is made
	took  atomic.Int64                 // pairs taken
	env   atomic.Pointer[coreep11.Env] // of the last call
}

// fakeBlob is a blob: the key's id and owner in clear, the key sealed.
type fakeBlob struct {
	Key    [16]byte `cbor:"1,keyasint"`
	Owner  [32]byte `cbor:"2,keyasint"`
	Epoch  uint64   `cbor:"3,keyasint"`
	Sealed []byte   `cbor:"4,keyasint"`
}

const fakeTag canon.Tag = "strongroom/app-blob/v1"

func (e *fakeEngine) Do(ctx context.Context, env coreep11.Env, c ep11.Call) (ep11.Answer, []coreep11.Use, error) {
	if e.enter != nil {
		e.enter(c)
	}
	e.env.Store(&env)
	a, use, err := e.do(ctx, env, c)
	e.done.Add(1)
	if e.leave != nil {
		e.leave(c)
	}
	if f := e.fail.Load(); f != nil && err == nil {
		return ep11.Answer{}, use, *f
	}
	return a, use, err
}

func (e *fakeEngine) do(ctx context.Context, env coreep11.Env, c ep11.Call) (a ep11.Answer, uses []coreep11.Use, err error) {
	var m uint64
	if c.Mechanism != nil {
		m = c.Mechanism.Type
	}
	use := func(id [16]byte) []coreep11.Use { return []coreep11.Use{{Key: id, Function: c.Function, Mechanism: m}} }
	switch c.Function {
	case ep11.FnGenerateRandom:
		a.Data = make([]byte, c.Len)
		return a, nil, env.Random.Fill(ctx, a.Data)
	case ep11.FnGenerateKeyPair:
		if k, _, ok := env.Pool.Take(2048); ok {
			k.Wipe()
			e.took.Add(1)
		}
		return a, nil, nil
	case ep11.FnGenerateKey:
		b := fakeBlob{Owner: env.Owner}
		rand.Read(b.Key[:])
		if err := env.Allow(coreep11.Access{Function: c.Function, Mechanism: m, Keyed: true, Key: b.Key, Owner: b.Owner, New: true}); err != nil {
			return a, nil, err
		}
		k, err := secret.New(env.Arena, 32, func(b []byte) error { return env.Random.Fill(ctx, b) })
		if err != nil {
			return a, nil, err
		}
		defer k.Wipe()
		a.Key, err = b.seal(env.Current, k)
		return a, use(b.Key), err
	case ep11.FnLogin:
		id := sha256.Sum256(c.Pin)
		a.Data = id[:]
		return a, nil, env.Sessions.Open(ctx, env.Owner, id)
	case ep11.FnLogout:
		return a, nil, env.Sessions.Close(ctx, env.Owner)
	}
	b, k, err := openFake(env, c, m)
	if err != nil {
		return a, nil, err
	}
	defer k.Wipe()
	switch c.Function {
	case ep11.FnRewrapKeyBlob:
		if env.Next == nil {
			return a, nil, ep11.CKR_IBM_WK_NOT_INITIALIZED
		}
		a.Key, err = b.seal(env.Next, k)
	case ep11.FnSignSingle:
		err = k.Use(func(k []byte) error {
			mac := hmac.New(sha256.New, k)
			mac.Write(c.Data)
			a.Data = mac.Sum(nil)
			return nil
		})
	default:
		return a, nil, ep11.CKR_FUNCTION_NOT_SUPPORTED
	}
	return a, use(b.Key), err
}

func (b *fakeBlob) seal(under *coreep11.Epoch, k secret.Bytes) (out []byte, err error) {
	b.Epoch = under.Number
	b.Sealed, err = seal.Seal(fakeTag, under.Parent, b.Key[:], k)
	return canon.Encode(b), err
}

func openFake(env coreep11.Env, c ep11.Call, m uint64) (b fakeBlob, k secret.Bytes, err error) {
	if canon.Decode(c.Key, &b) != nil {
		return b, k, ep11.CKR_IBM_BLOB_ERROR
	}
	if err := env.Allow(coreep11.Access{Function: c.Function, Mechanism: m, Keyed: true, Key: b.Key, Owner: b.Owner}); err != nil {
		return b, k, err
	}
	for _, e := range []*coreep11.Epoch{env.Current, env.Previous} {
		if e == nil || e.Number != b.Epoch {
			continue
		}
		k, header, err := seal.Open(env.Arena, fakeTag, e.Parent, b.Sealed)
		if err == nil && string(header) != string(b.Key[:]) {
			k.Wipe()
			err = ep11.CKR_IBM_BLOB_ERROR
		}
		return b, k, err
	}
	return b, k, ep11.CKR_IBM_WKID_MISMATCH
}

// makePair makes up a pair.
func (e *fakeEngine) makePair(a *secret.Arena, bits int) (k family.Key, err error) {
	if e.pair != nil {
		if err := e.pair(bits); err != nil {
			return k, err
		}
	}
	e.made.Add(1)
	k.Type, k.Public = ep11.CKK_RSA, []byte{byte(bits / 1024)}
	k.Secret, err = secret.Take(a, []byte{1, 2, 3})
	return k, err
}
