// SPDX-License-Identifier: Apache-2.0

// Package ep11 is the engine of GREP11 in the core: it does the forty functions of Enterprise PKCS#11 on keys that clients hold as blobs
// (docs/spec/app-keys.md). It opens and seals blobs and operation states, keeps the rules of attributes, and calls the families of mechanisms
// for the arithmetic. It holds no key and no session: all that it works with is in the [Env] of a call.
//
// It refuses what has another owner, domain, epoch or session, is altered or has expired; a use that the key's attributes, the domain's
// control points or the grant don't allow; and mechanisms that are not listed. Each refusal is a return code, the same for every check of an
// authenticated thing that can fail. Wallet blobs and application blobs are sealed under different keys with different tags, so neither
// opens as the other.
//
// Copies outside the arena: data, signatures and the states of operations are the caller's and lie on the heap; what of a state is secret
// is moved into the arena to be sealed. Families say what of keys they copy.
package ep11

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/digest"
	"strongroom/internal/core/ep11/family/elliptic"
	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/core/ep11/family/symmetric"
	"strongroom/internal/pure/ep11"
)

// Engine does calls. It is immutable and safe for concurrent use.
type Engine struct {
	keys   map[family.KeyType]family.Generator
	rows   map[uint64][]family.Row
	offers []ep11.Row // mechanisms with code, in the order of the table, with the flags that the code has
}

// New makes an engine of the classical families and more.
func New(more ...family.Set) (*Engine, error) {
	curves, err := elliptic.Set()
	if err != nil {
		return nil, err
	}
	e := &Engine{keys: map[family.KeyType]family.Generator{}, rows: map[uint64][]family.Row{}}
	for _, set := range append([]family.Set{curves, rsakey.Set(), symmetric.Set()}, more...) {
		for kind, g := range set.Keys {
			if _, twice := e.keys[kind]; twice {
				return nil, fmt.Errorf("ep11: keys of type 0x%x %x belong to two families", kind.Type, kind.Params)
			}
			e.keys[kind] = g
		}
		for _, r := range set.Rows {
			if _, ok := ep11.Find(r.Mechanism); !ok {
				return nil, fmt.Errorf("ep11: mechanism 0x%x is not in the table", r.Mechanism)
			}
			e.rows[r.Mechanism] = append(e.rows[r.Mechanism], r)
		}
	}
	for _, row := range ep11.Rows() {
		row.Flags &= e.flags(row.Mechanism)
		if row.Flags&doing != 0 {
			e.offers = append(e.offers, row)
		}
	}
	return e, nil
}

// doing are the flags of functions; the others describe.
const doing = ep11.CKF_ENCRYPT | ep11.CKF_DECRYPT | ep11.CKF_DIGEST | ep11.CKF_SIGN | ep11.CKF_VERIFY | ep11.CKF_GENERATE | ep11.CKF_GENERATE_KEY_PAIR |
	ep11.CKF_WRAP | ep11.CKF_UNWRAP | ep11.CKF_DERIVE

// flags are what the code of a mechanism can do.
func (e *Engine) flags(mechanism uint64) uint64 {
	all := ^uint64(doing)
	switch {
	case digest.New(mechanism) != nil:
		return all | ep11.CKF_DIGEST
	case mechanism == ep11.CKM_IBM_TRANSPORTKEY:
		return all | ep11.CKF_UNWRAP
	case mechanism == ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP:
		return all | ep11.CKF_WRAP | ep11.CKF_UNWRAP
	}
	for _, r := range e.rows[mechanism] {
		if r.Stream != nil || r.Cipher != nil {
			all |= ep11.CKF_ENCRYPT | ep11.CKF_DECRYPT
		}
		if r.MAC != nil || r.Sign != nil {
			all |= ep11.CKF_SIGN | ep11.CKF_VERIFY
		}
		if r.Wrap != nil {
			all |= ep11.CKF_WRAP | ep11.CKF_UNWRAP
		}
		if r.Derive != nil {
			all |= ep11.CKF_DERIVE
		}
		if r.Parameters != nil || len(r.Generates) > 0 {
			all |= ep11.CKF_GENERATE | ep11.CKF_GENERATE_KEY_PAIR
		}
	}
	return all
}

// work is one call under way.
type work struct {
	engine *Engine
	ctx    context.Context
	env    *Env
	call   *ep11.Call
	tools  family.Tools
	uses   []Use
}

// Do does a call. An error is an [ep11.Failure], but for [family.ErrFault], after which the core must stop, and the context's; it comes with no
// answer. Neither answer nor error may be released before the uses are accounted, which come with both.
func (e *Engine) Do(ctx context.Context, env Env, call ep11.Call) (ep11.Answer, []Use, error) {
	if env.Allow == nil || env.Arena == nil || env.Random == nil {
		return ep11.Answer{}, nil, errors.New("ep11: the environment lacks arena, randomness or the decision on access")
	}
	if err := call.Check(); err != nil {
		return ep11.Answer{}, nil, ep11.FailureOf(err)
	}
	w := &work{engine: e, ctx: ctx, env: &env, call: &call, tools: family.Tools{Arena: env.Arena, Random: env.Random, Pool: env.Pool}}
	if err := ctx.Err(); err != nil {
		return ep11.Answer{}, nil, err
	}
	answer, err := functions[call.Function](w)
	switch {
	case err == nil:
		return answer, w.uses, nil
	case errors.Is(err, family.ErrFault):
		return ep11.Answer{}, w.uses, family.ErrFault
	case ctx.Err() != nil:
		return ep11.Answer{}, w.uses, ctx.Err()
	}
	return ep11.Answer{}, w.uses, ep11.FailureOf(err)
}

// functions are what each call does, by number.
var functions = [ep11.Functions + 1]func(*work) (ep11.Answer, error){
	ep11.FnGenerateRandom: (*work).generateRandom, ep11.FnDigestInit: (*work).digestInit, ep11.FnDigest: (*work).digestOnce,
	ep11.FnDigestUpdate: (*work).digestUpdate, ep11.FnDigestKey: (*work).digestKey, ep11.FnDigestFinal: (*work).digestFinal,
	ep11.FnDigestSingle: (*work).digestSingle,

	ep11.FnEncryptInit: (*work).cryptInit, ep11.FnDecryptInit: (*work).cryptInit, ep11.FnEncryptUpdate: (*work).cryptUpdate,
	ep11.FnDecryptUpdate: (*work).cryptUpdate, ep11.FnEncrypt: (*work).cryptOnce, ep11.FnDecrypt: (*work).cryptOnce,
	ep11.FnEncryptFinal: (*work).cryptFinal, ep11.FnDecryptFinal: (*work).cryptFinal, ep11.FnEncryptSingle: (*work).cryptSingle,
	ep11.FnDecryptSingle: (*work).cryptSingle, ep11.FnReencryptSingle: (*work).reencrypt,

	ep11.FnSignInit: (*work).signInit, ep11.FnVerifyInit: (*work).signInit, ep11.FnSignUpdate: (*work).signUpdate,
	ep11.FnVerifyUpdate: (*work).signUpdate, ep11.FnSignFinal: (*work).signFinal, ep11.FnVerifyFinal: (*work).signFinal,
	ep11.FnSign: (*work).signOnce, ep11.FnVerify: (*work).signOnce, ep11.FnSignSingle: (*work).signSingle, ep11.FnVerifySingle: (*work).signSingle,

	ep11.FnGenerateKey: (*work).generateKey, ep11.FnGenerateKeyPair: (*work).generateKeyPair, ep11.FnWrapKey: (*work).wrapKey,
	ep11.FnUnwrapKey: (*work).unwrapKey, ep11.FnDeriveKey: (*work).deriveKey, ep11.FnGetMechanismList: (*work).mechanismList,
	ep11.FnGetMechanismInfo: (*work).mechanismInfo, ep11.FnGetAttribute: (*work).getAttributes, ep11.FnSetAttribute: (*work).setAttributes,
	ep11.FnLogin: (*work).login, ep11.FnLogout: (*work).logout, ep11.FnRewrapKeyBlob: (*work).rewrap,
}
