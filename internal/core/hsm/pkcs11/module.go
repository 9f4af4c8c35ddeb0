// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"path/filepath"

	p11 "github.com/miekg/pkcs11"
)

// module is what this package needs of a PKCS#11 library. Tests put one that fails before or after its effect, answers wrongly or hangs
// around the real one. Buffers named out are written by the library and may lie in an arena.
type module interface {
	Initialize(...p11.InitializeOption) error
	Finalize() error
	GetInfo() (p11.Info, error)
	GetSlotList(tokenPresent bool) ([]uint, error)
	GetSlotInfo(slot uint) (p11.SlotInfo, error)
	GetTokenInfo(slot uint) (p11.TokenInfo, error)

	OpenSession(slot, flags uint) (p11.SessionHandle, error)
	CloseSession(p11.SessionHandle) error
	GetSessionInfo(p11.SessionHandle) (p11.SessionInfo, error)
	Login(s p11.SessionHandle, pin []byte) error
	Logout(p11.SessionHandle) error

	FindObjectsInit(p11.SessionHandle, []*p11.Attribute) error
	FindObjects(s p11.SessionHandle, limit int) ([]p11.ObjectHandle, bool, error)
	FindObjectsFinal(p11.SessionHandle) error
	GetAttributeValue(p11.SessionHandle, p11.ObjectHandle, []*p11.Attribute) ([]*p11.Attribute, error)
	GenerateKey(p11.SessionHandle, []*p11.Mechanism, []*p11.Attribute) (p11.ObjectHandle, error)
	GenerateKeyPair(s p11.SessionHandle, m []*p11.Mechanism, public, private []*p11.Attribute) (p11.ObjectHandle, p11.ObjectHandle, error)
	CopyObject(p11.SessionHandle, p11.ObjectHandle, []*p11.Attribute) (p11.ObjectHandle, error)
	DestroyObject(p11.SessionHandle, p11.ObjectHandle) error
	WrapKey(s p11.SessionHandle, m []*p11.Mechanism, with, key p11.ObjectHandle) ([]byte, error)
	UnwrapKey(s p11.SessionHandle, m []*p11.Mechanism, with p11.ObjectHandle, wrapped []byte, a []*p11.Attribute) (p11.ObjectHandle, error)

	EncryptInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Encrypt(s p11.SessionHandle, in, out []byte) (int, error)
	DecryptInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Decrypt(s p11.SessionHandle, in, out []byte) (int, error)
	SignInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Sign(s p11.SessionHandle, in, out []byte) (int, error)
	Random(s p11.SessionHandle, out []byte) error
}

// native is a real library. direct's functions lie shallower than those of [p11.Ctx] with the same names, and are the ones that are called.
type native struct {
	*ctx
	*direct
}

type ctx struct{ *p11.Ctx }

// open loads a library into the process. A relative path is refused: what the loader would find for it depends on the environment.
func open(path string) (*native, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("pkcs11: %q is no absolute path of a library", path)
	}
	d, err := openDirect(path)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: load the library: %w", err)
	}
	c := p11.New(path)
	if c == nil {
		d.close()
		return nil, errors.New("pkcs11: the library was loaded once and not again")
	}
	return &native{ctx: &ctx{c}, direct: d}, nil
}

// unload lets the library go.
func (n *native) unload() {
	n.Ctx.Destroy()
	n.direct.close()
}
