// SPDX-License-Identifier: Apache-2.0

package pkcs11

import p11 "github.com/miekg/pkcs11"

// interposer stands before a library: at gets each call, with its name, and makes it or doesn't.
type interposer struct {
	module
	at func(name string, call func() error) error
}

func (i *interposer) GetSlotList(present bool) (out []uint, err error) {
	err = i.at("GetSlotList", func() error { out, err = i.module.GetSlotList(present); return err })
	return out, err
}

func (i *interposer) GetTokenInfo(slot uint) (out p11.TokenInfo, err error) {
	err = i.at("GetTokenInfo", func() error { out, err = i.module.GetTokenInfo(slot); return err })
	return out, err
}

func (i *interposer) OpenSession(slot, flags uint) (out p11.SessionHandle, err error) {
	err = i.at("OpenSession", func() error { out, err = i.module.OpenSession(slot, flags); return err })
	return out, err
}

func (i *interposer) CloseSession(s p11.SessionHandle) error {
	return i.at("CloseSession", func() error { return i.module.CloseSession(s) })
}

func (i *interposer) GetSessionInfo(s p11.SessionHandle) (out p11.SessionInfo, err error) {
	err = i.at("GetSessionInfo", func() error { out, err = i.module.GetSessionInfo(s); return err })
	return out, err
}

func (i *interposer) Login(s p11.SessionHandle, pin []byte) error {
	return i.at("Login", func() error { return i.module.Login(s, pin) })
}

func (i *interposer) FindObjectsInit(s p11.SessionHandle, t []*p11.Attribute) error {
	return i.at("FindObjectsInit", func() error { return i.module.FindObjectsInit(s, t) })
}

func (i *interposer) GetAttributeValue(s p11.SessionHandle, o p11.ObjectHandle, a []*p11.Attribute) (out []*p11.Attribute, err error) {
	err = i.at("GetAttributeValue", func() error { out, err = i.module.GetAttributeValue(s, o, a); return err })
	return out, err
}

func (i *interposer) GenerateKey(s p11.SessionHandle, m []*p11.Mechanism, a []*p11.Attribute) (out p11.ObjectHandle, err error) {
	err = i.at("GenerateKey", func() error { out, err = i.module.GenerateKey(s, m, a); return err })
	return out, err
}

func (i *interposer) GenerateKeyPair(s p11.SessionHandle, m []*p11.Mechanism, public, private []*p11.Attribute) (x, y p11.ObjectHandle, err error) {
	err = i.at("GenerateKeyPair", func() error { x, y, err = i.module.GenerateKeyPair(s, m, public, private); return err })
	return x, y, err
}

func (i *interposer) DestroyObject(s p11.SessionHandle, o p11.ObjectHandle) error {
	return i.at("DestroyObject", func() error { return i.module.DestroyObject(s, o) })
}

func (i *interposer) WrapKey(s p11.SessionHandle, m []*p11.Mechanism, with, key p11.ObjectHandle) (out []byte, err error) {
	err = i.at("WrapKey", func() error { out, err = i.module.WrapKey(s, m, with, key); return err })
	return out, err
}

func (i *interposer) Encrypt(s p11.SessionHandle, in, to []byte) (n int, err error) {
	err = i.at("Encrypt", func() error { n, err = i.module.Encrypt(s, in, to); return err })
	return n, err
}

func (i *interposer) Decrypt(s p11.SessionHandle, in, to []byte) (n int, err error) {
	err = i.at("Decrypt", func() error { n, err = i.module.Decrypt(s, in, to); return err })
	return n, err
}

func (i *interposer) Sign(s p11.SessionHandle, in, to []byte) (n int, err error) {
	err = i.at("Sign", func() error { n, err = i.module.Sign(s, in, to); return err })
	return n, err
}

func (i *interposer) Random(s p11.SessionHandle, to []byte) error {
	return i.at("Random", func() error { return i.module.Random(s, to) })
}
