// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"crypto/hmac"
	"encoding/binary"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
)

// PINs are 8 to 64 bytes long.
const (
	minPIN = 8
	maxPIN = 64
)

// errLogin says that nobody logs in here.
var errLogin = ep11.Fail(ep11.CKR_FUNCTION_NOT_SUPPORTED, "the domain has no login sessions")

// login opens a session of the caller, and answers with its blob: the id (32 bytes) and its authentication (32). The id follows from the caller,
// the store and the PIN, so that the same PIN opens the same session again, and another one another. Keys whose template names the blob in
// CKA_IBM_LOGIN_SESSION work while the session is open.
func (w *work) login() (ep11.Answer, error) {
	pin := w.call.Pin
	if len(pin) < minPIN || len(pin) > maxPIN {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_PIN_LEN_RANGE, "a PIN has %d to %d bytes", minPIN, maxPIN)
	}
	if err := w.allowed(0); err != nil {
		return ep11.Answer{}, err
	}
	if w.env.Sessions == nil || w.env.Login.Len() == 0 {
		return ep11.Answer{}, errLogin
	}
	store := binary.BigEndian.AppendUint32(nil, uint32(len(w.call.Data)))
	sum, err := code(w.env.Login, []byte(canon.TagAppSession), []byte{0, 0}, w.env.Owner[:], store, w.call.Data, pin)
	if err != nil {
		return ep11.Answer{}, err
	}
	id := [sessionSize]byte(sum)
	if id[0] == spkiStart || id[0] == 0 { // a blob that begins so would be taken for a public key, or for one that is not bound
		id[0] ^= 0x80
	}
	if err := w.env.Sessions.Open(w.ctx, w.env.Owner, id); err != nil {
		return ep11.Answer{}, err
	}
	mark, err := w.sessionCode(id)
	return ep11.Answer{Data: append(id[:], mark...)}, err
}

// sessionCode authenticates the id of a session of the caller.
func (w *work) sessionCode(id [sessionSize]byte) ([]byte, error) {
	return code(w.env.Login, []byte(canon.TagAppSession), []byte{0, 1}, w.env.Owner[:], id[:])
}

// sessionOf reads the blob of an open session of the caller.
func (w *work) sessionOf(blob []byte) (id [sessionSize]byte, err error) {
	if w.env.Sessions == nil || w.env.Login.Len() == 0 {
		return id, errLogin
	}
	if len(blob) != 2*sessionSize {
		return id, ep11.Fail(ep11.CKR_PIN_INVALID, "the session's blob is none")
	}
	copy(id[:], blob)
	mark, err := w.sessionCode(id)
	switch {
	case err != nil:
		return id, err
	case !hmac.Equal(mark, blob[sessionSize:]):
		return id, ep11.Fail(ep11.CKR_PIN_INVALID, "the session's blob is none")
	case !w.env.Sessions.Live(w.env.Owner, id):
		return id, ep11.Fail(ep11.CKR_SESSION_CLOSED, "the session is not open")
	}
	return id, nil
}

// logout closes all sessions of the caller.
func (w *work) logout() (ep11.Answer, error) {
	if err := w.allowed(0); err != nil {
		return ep11.Answer{}, err
	}
	if w.env.Sessions == nil {
		return ep11.Answer{}, errLogin
	}
	return ep11.Answer{}, w.env.Sessions.Close(w.ctx, w.env.Owner)
}
