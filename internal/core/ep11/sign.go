// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"crypto/subtle"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/digest"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// verifying says whether a function verifies.
func verifying(f ep11.Function) bool {
	switch f {
	case ep11.FnVerifyInit, ep11.FnVerifyUpdate, ep11.FnVerifyFinal, ep11.FnVerify, ep11.FnVerifySingle:
		return true
	}
	return false
}

// signing is one use of a signing mechanism with a key.
type signing struct {
	verify bool
	m      ep11.Mechanism
	what   ep11.Row
	code   family.Row
	key    *object // wiped by the caller
}

func (s *signing) wipe() {
	if s.key != nil {
		s.key.wipe()
	}
}

// signer reads mechanism and key of a use. parts says which functions may ask: a mechanism for the Single functions alone is refused in others.
func (w *work) signer(m *ep11.Mechanism, blob []byte, most ep11.Parts) (s signing, err error) {
	s.verify = verifying(w.call.Function)
	flag, need := uint64(ep11.CKF_SIGN), uint64(ep11.CKA_SIGN)
	if s.verify {
		flag, need = ep11.CKF_VERIFY, ep11.CKA_VERIFY
	}
	if s.what, err = w.mechanism(m, flag); err != nil {
		return s, err
	}
	if s.what.Parts > most {
		return s, ep11.Fail(ep11.CKR_MECHANISM_INVALID, "the mechanism works in fewer parts only")
	}
	s.m = *m
	can := func(r family.Row) bool { return r.Sign != nil || r.MAC != nil }
	if m.Type == ep11.CKM_IBM_EC_AGGREGATE { // public signatures, and no key
		if s.code, err = w.rowFor(m.Type, family.KeyType{}, errMechanism.Code, can); err != nil {
			return s, err
		}
		s.key = &object{bare: true}
		return s, w.allowed(m.Type)
	}
	if s.key, err = w.take(blob, ep11.CKR_KEY_HANDLE_INVALID, m.Type, need); err != nil {
		return signing{}, err
	}
	if s.code, err = w.rowFor(m.Type, s.key.key.Kind(), ep11.CKR_KEY_TYPE_INCONSISTENT, can); err != nil {
		s.wipe()
		return signing{}, err
	}
	if s.key.Class == ep11.CKO_PRIVATE_KEY {
		if err = w.point(points.RawSign); err != nil {
			s.wipe()
			return signing{}, err
		}
	}
	return s, nil
}

// feed gives data to the operation that progress is of. In the last part it calls last with what is to be signed or compared: a code, a digest, or
// the data itself. In others it calls save with the progress.
func (w *work) feed(s signing, progress []byte, data []byte, last func(out []byte) error, save func(progress []byte)) error {
	if s.code.MAC != nil {
		return w.streaming(s.code.MAC, s.m, s.key, family.Sign, progress, func(stream family.Stream) error {
			if _, err := stream.Update(data); err != nil {
				return err
			}
			if last == nil {
				save(stream.Save())
				return nil
			}
			out, err := stream.Final()
			if err != nil {
				return err
			}
			return last(out)
		})
	}
	if s.what.Digest == 0 && last == nil {
		return ep11.Fail(ep11.CKR_MECHANISM_INVALID, "the mechanism works in one part only")
	}
	if s.what.Digest == 0 {
		return last(data)
	}
	h, err := resumedHash(s.what.Digest, progress)
	if err != nil {
		return err
	}
	h.Write(data)
	if last != nil {
		return last(h.Sum(nil))
	}
	saved, err := savedHash(h)
	save(saved)
	return err
}

// finish makes the signature of what was fed, or checks the given one.
func (w *work) finish(s signing, progress, data []byte) (ep11.Answer, error) {
	w.use(s.key, s.m.Type)
	var answer ep11.Answer
	err := w.feed(s, progress, data, func(out []byte) (err error) {
		switch {
		case s.code.MAC == nil && s.verify:
			return s.code.Sign.Verify(w.ctx, w.tools, s.m, s.key.key, out, w.call.Signature)
		case s.code.MAC == nil:
			answer.Data, err = s.code.Sign.Sign(w.ctx, w.tools, s.m, s.key.key, out)
			return err
		case !s.verify:
			answer.Data = out
			return nil
		case len(out) != len(w.call.Signature):
			return ep11.CKR_SIGNATURE_LEN_RANGE
		case subtle.ConstantTimeCompare(out, w.call.Signature) != 1:
			return ep11.CKR_SIGNATURE_INVALID
		}
		return nil
	}, nil)
	return answer, err
}

func (w *work) signSingle() (ep11.Answer, error) {
	s, err := w.signer(w.call.Mechanism, w.call.Key, ep11.SingleOnly)
	defer s.wipe()
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.finish(s, nil, w.call.Data)
}

func (w *work) signInit() (ep11.Answer, error) {
	s, err := w.signer(w.call.Mechanism, w.call.Key, ep11.OnePart)
	defer s.wipe()
	if err != nil {
		return ep11.Answer{}, err
	}
	if s.code.MAC != nil { // refuses a parameter that can't be
		if err := w.streaming(s.code.MAC, s.m, s.key, family.Sign, nil, func(family.Stream) error { return nil }); err != nil {
			return ep11.Answer{}, err
		}
	} else if s.what.Digest != 0 && digest.New(s.what.Digest) == nil {
		return ep11.Answer{}, errMechanism
	}
	o, err := w.begin(w.call.Key)
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.save(o)
}

// signResume opens an operation with its key, for at most some parts. The caller wipes the use.
func (w *work) signResume(most ep11.Parts) (*operation, signing, error) {
	init := ep11.FnSignInit
	if verifying(w.call.Function) {
		init = ep11.FnVerifyInit
	}
	o, err := w.resume(init)
	if err != nil {
		return nil, signing{}, err
	}
	s, err := w.signer(&o.Mechanism, o.stateBody.Key, most)
	return o, s, err
}

func (w *work) signUpdate() (ep11.Answer, error) {
	o, s, err := w.signResume(ep11.Many)
	defer s.wipe()
	if err != nil {
		return ep11.Answer{}, err
	}
	if err := w.feed(s, o.progress(), w.call.Data, nil, func(p []byte) { o.Progress = p }); err != nil {
		return ep11.Answer{}, err
	}
	o.Begun = true
	return w.save(o)
}

func (w *work) signFinal() (ep11.Answer, error) {
	o, s, err := w.signResume(ep11.Many)
	defer s.wipe()
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.finish(s, o.progress(), nil)
}

func (w *work) signOnce() (ep11.Answer, error) {
	o, s, err := w.signResume(ep11.OnePart)
	defer s.wipe()
	if err != nil {
		return ep11.Answer{}, err
	}
	if o.Begun {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_OPERATION_ACTIVE, "the operation is in several parts: finish it with Final")
	}
	return w.finish(s, nil, w.call.Data)
}
