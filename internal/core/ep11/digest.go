// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"encoding"
	"hash"

	"strongroom/internal/core/ep11/family/digest"
	"strongroom/internal/pure/ep11"
)

// resumedHash makes the hash of a mechanism with its progress.
func resumedHash(mechanism uint64, progress []byte) (hash.Hash, error) {
	h := digest.New(mechanism)
	if h == nil {
		return nil, errMechanism
	}
	if len(progress) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(progress); err != nil {
		return nil, errState
	}
	return h, nil
}

// savedHash gives the progress of a hash.
func savedHash(h hash.Hash) ([]byte, error) { return h.(encoding.BinaryMarshaler).MarshalBinary() }

func (w *work) digestInit() (ep11.Answer, error) {
	if _, err := w.mechanism(w.call.Mechanism, ep11.CKF_DIGEST); err != nil {
		return ep11.Answer{}, err
	}
	if err := w.hashing(*w.call.Mechanism); err != nil {
		return ep11.Answer{}, err
	}
	o, err := w.begin(nil)
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.save(o)
}

// hashing refuses a parameter, and asks the grant.
func (w *work) hashing(m ep11.Mechanism) error {
	if len(m.Parameter) != 0 || m.PSS != nil || m.OAEP != nil || m.ECDH != nil || m.BTC != nil || m.Sign != nil || m.Kyber != nil || m.Aggregate != nil {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism takes no parameter")
	}
	return w.allowed(m.Type)
}

// digesting resumes a digest.
func (w *work) digesting() (*operation, hash.Hash, error) {
	o, err := w.resume(ep11.FnDigestInit)
	if err != nil {
		return nil, nil, err
	}
	if err := w.allowed(o.Mechanism.Type); err != nil {
		return nil, nil, err
	}
	h, err := resumedHash(o.Mechanism.Type, o.Progress)
	return o, h, err
}

// digestOnce is Digest: the state is that of an Init.
func (w *work) digestOnce() (ep11.Answer, error) {
	o, h, err := w.digesting()
	switch {
	case err != nil:
		return ep11.Answer{}, err
	case o.Begun:
		return ep11.Answer{}, ep11.Fail(ep11.CKR_OPERATION_ACTIVE, "the operation is in several parts: finish it with Final")
	case len(w.call.Data) == 0:
		return ep11.Answer{}, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "there is nothing to hash")
	}
	h.Write(w.call.Data)
	return ep11.Answer{Data: h.Sum(nil)}, nil
}

func (w *work) digestUpdate() (ep11.Answer, error) {
	o, h, err := w.digesting()
	if err != nil {
		return ep11.Answer{}, err
	}
	if len(w.call.Data) == 0 {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "there is nothing to hash")
	}
	h.Write(w.call.Data)
	return w.digested(o, h)
}

func (w *work) digested(o *operation, h hash.Hash) (ep11.Answer, error) {
	var err error
	if o.Progress, err = savedHash(h); err != nil {
		return ep11.Answer{}, err
	}
	o.Begun = true
	return w.save(o)
}

// digestKey hashes a secret key. It must be extractable: with the hash of a key that isn't, somebody would hold what
// CKM_SHA256_KEY_DERIVATION makes of it.
func (w *work) digestKey() (ep11.Answer, error) {
	o, h, err := w.digesting()
	if err != nil {
		return ep11.Answer{}, err
	}
	k, err := w.take(w.call.Key, ep11.CKR_KEY_HANDLE_INVALID, o.Mechanism.Type)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	if k.Class != ep11.CKO_SECRET_KEY || !k.Attributes.Has(ep11.CKA_EXTRACTABLE) {
		return ep11.Answer{}, ep11.CKR_KEY_INDIGESTIBLE
	}
	w.use(k, o.Mechanism.Type)
	err = k.key.Secret.Use(func(b []byte) error {
		h.Write(b)
		return nil
	})
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.digested(o, h)
}

func (w *work) digestFinal() (ep11.Answer, error) {
	_, h, err := w.digesting()
	if err != nil {
		return ep11.Answer{}, err
	}
	return ep11.Answer{Data: h.Sum(nil)}, nil
}

// digestSingle hashes in one call. Here nothing is allowed to be hashed: only the functions with a state refuse it.
func (w *work) digestSingle() (ep11.Answer, error) {
	r, err := w.mechanism(w.call.Mechanism, ep11.CKF_DIGEST)
	if err != nil {
		return ep11.Answer{}, err
	}
	if err := w.hashing(*w.call.Mechanism); err != nil {
		return ep11.Answer{}, err
	}
	h := digest.New(r.Mechanism)
	h.Write(w.call.Data)
	return ep11.Answer{Data: h.Sum(nil)}, nil
}
