// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
)

// decrypting says whether a function decrypts.
func decrypting(f ep11.Function) bool {
	switch f {
	case ep11.FnDecryptInit, ep11.FnDecryptUpdate, ep11.FnDecrypt, ep11.FnDecryptFinal, ep11.FnDecryptSingle:
		return true
	}
	return false
}

// crypting is a way of encryption with what it asks of mechanism and key.
type crypting struct {
	way  family.Way
	flag uint64
	need uint64
	init ep11.Function
}

var (
	encrypts = crypting{family.Encrypt, ep11.CKF_ENCRYPT, ep11.CKA_ENCRYPT, ep11.FnEncryptInit}
	decrypts = crypting{family.Decrypt, ep11.CKF_DECRYPT, ep11.CKA_DECRYPT, ep11.FnDecryptInit}
)

func cryptingOf(f ep11.Function) crypting {
	if decrypting(f) {
		return decrypts
	}
	return encrypts
}

// cipher reads the key in a blob for one way, with the code for it. The caller wipes the key.
func (w *work) cipher(c crypting, m ep11.Mechanism, blob []byte) (*object, family.Row, error) {
	k, err := w.take(blob, ep11.CKR_KEY_HANDLE_INVALID, m.Type, c.need)
	if err != nil {
		return nil, family.Row{}, err
	}
	row, err := w.rowFor(m.Type, k.key.Kind(), ep11.CKR_KEY_TYPE_INCONSISTENT, func(r family.Row) bool { return r.Cipher != nil || r.Stream != nil })
	if err != nil {
		k.wipe()
		return nil, family.Row{}, err
	}
	return k, row, nil
}

// streaming calls f with the stream of a key, resumed from progress.
func (w *work) streaming(s family.Streamer, m ep11.Mechanism, k *object, way family.Way, progress []byte, f func(family.Stream) error) error {
	return k.key.Secret.Use(func(b []byte) error {
		stream, err := s.Stream(w.ctx, w.tools, m, k.Type, b, way, progress)
		if err != nil {
			return err
		}
		return f(stream)
	})
}

// crypt does one part that is all.
func (w *work) crypt(c crypting, m ep11.Mechanism, k *object, row family.Row, data []byte) (out []byte, err error) {
	w.use(k, m.Type)
	switch {
	case row.Stream != nil:
		err = w.streaming(row.Stream, m, k, c.way, nil, func(s family.Stream) error {
			if out, err = s.Update(data); err != nil {
				return err
			}
			rest, err := s.Final()
			out = append(out, rest...)
			return err
		})
	case c.way == family.Encrypt:
		out, err = row.Cipher.Encrypt(w.ctx, w.tools, m, k.key, data)
	default:
		out, err = row.Cipher.Decrypt(w.ctx, w.tools, m, k.key, data)
	}
	return out, err
}

func (w *work) cryptInit() (ep11.Answer, error) {
	c := cryptingOf(w.call.Function)
	if _, err := w.mechanism(w.call.Mechanism, c.flag); err != nil {
		return ep11.Answer{}, err
	}
	m := *w.call.Mechanism
	k, row, err := w.cipher(c, m, w.call.Key)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	if row.Stream != nil { // refuses a parameter that can't be
		if err := w.streaming(row.Stream, m, k, c.way, nil, func(family.Stream) error { return nil }); err != nil {
			return ep11.Answer{}, err
		}
	}
	o, err := w.begin(w.call.Key)
	if err != nil {
		return ep11.Answer{}, err
	}
	return w.save(o)
}

// cryptResume opens an operation with its key. The caller wipes the key.
func (w *work) cryptResume() (*operation, crypting, *object, family.Row, error) {
	c := cryptingOf(w.call.Function)
	o, err := w.resume(c.init)
	if err != nil {
		return nil, c, nil, family.Row{}, err
	}
	if _, err := w.listed(o.Mechanism.Type, c.flag); err != nil {
		return nil, c, nil, family.Row{}, err
	}
	k, row, err := w.cipher(c, o.Mechanism, o.stateBody.Key)
	return o, c, k, row, err
}

func (w *work) cryptUpdate() (ep11.Answer, error) {
	o, c, k, row, err := w.cryptResume()
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	if row.Stream == nil {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_MECHANISM_INVALID, "the mechanism works in one part only")
	}
	w.use(k, o.Mechanism.Type)
	var out []byte
	err = w.streaming(row.Stream, o.Mechanism, k, c.way, o.progress(), func(s family.Stream) error {
		if out, err = s.Update(w.call.Data); err != nil {
			return err
		}
		o.Progress = s.Save()
		return nil
	})
	if err != nil {
		return ep11.Answer{}, err
	}
	o.Begun = true
	answer, err := w.save(o)
	if err != nil {
		return ep11.Answer{}, err
	}
	answer.Data = out
	return answer, nil
}

// progress is nil at the start.
func (o *operation) progress() []byte {
	if !o.Begun {
		return nil
	}
	return o.Progress
}

func (w *work) cryptFinal() (ep11.Answer, error) {
	o, c, k, row, err := w.cryptResume()
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	if row.Stream == nil {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_MECHANISM_INVALID, "the mechanism works in one part only")
	}
	w.use(k, o.Mechanism.Type)
	var out []byte
	err = w.streaming(row.Stream, o.Mechanism, k, c.way, o.progress(), func(s family.Stream) (err error) {
		out, err = s.Final()
		return err
	})
	return ep11.Answer{Data: out}, err
}

func (w *work) cryptOnce() (ep11.Answer, error) {
	o, c, k, row, err := w.cryptResume()
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	if o.Begun {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_OPERATION_ACTIVE, "the operation is in several parts: finish it with Final")
	}
	out, err := w.crypt(c, o.Mechanism, k, row, w.call.Data)
	return ep11.Answer{Data: out}, err
}

func (w *work) cryptSingle() (ep11.Answer, error) {
	out, err := w.cryptWith(cryptingOf(w.call.Function), w.call.Mechanism, w.call.Key, w.call.Data)
	return ep11.Answer{Data: out}, err
}

func (w *work) cryptWith(c crypting, m *ep11.Mechanism, blob, data []byte) ([]byte, error) {
	if _, err := w.mechanism(m, c.flag); err != nil {
		return nil, err
	}
	k, row, err := w.cipher(c, *m, blob)
	if err != nil {
		return nil, err
	}
	defer k.wipe()
	return w.crypt(c, *m, k, row, data)
}

// reencrypt decrypts with one key and encrypts with another. What lies between does not leave.
func (w *work) reencrypt() (ep11.Answer, error) {
	if _, err := w.mechanism(w.call.Mechanism2, encrypts.flag); err != nil {
		return ep11.Answer{}, err
	}
	if k, _, err := w.cipher(encrypts, *w.call.Mechanism2, w.call.Key2); err != nil { // before anything is decrypted
		return ep11.Answer{}, err
	} else {
		k.wipe()
	}
	plain, err := w.cryptWith(decrypts, w.call.Mechanism, w.call.Key, w.call.Data)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer clear(plain)
	out, err := w.cryptWith(encrypts, w.call.Mechanism2, w.call.Key2, plain)
	return ep11.Answer{Data: out}, err
}
