// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"

	"github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
)

// softHSM is a SoftHSM in this process, with a token object for each operation.
type softHSM struct {
	dir  string
	ctx  *pkcs11.Ctx
	slot uint
	keys map[string]pkcs11.ObjectHandle
	open pkcs11.SessionHandle // keeps the login
}

const (
	softPIN              = "123456"
	ckmEdwardsKeyPairGen = 0x1055 // PKCS#11 3.0
	ckmEDDSA             = 0x1057
)

// newSoftHSM makes a token in a folder of its own, and the keys.
func newSoftHSM() (*softHSM, error) {
	library, err := softhsmtest.Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, err
	}
	s := &softHSM{dir: dir, keys: map[string]pkcs11.ObjectHandle{}}
	if err := s.init(library); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *softHSM) init(library string) error {
	conf, err := softhsmtest.Configure(s.dir)
	if err != nil {
		return err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil { // the library reads it when it is loaded
		return err
	}
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "bench", "--so-pin", "0987654321", "--pin", softPIN).CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w: %s", err, out)
	}
	if s.ctx = pkcs11.New(library); s.ctx == nil {
		return errors.New("SoftHSM can't be loaded")
	}
	if err := s.ctx.Initialize(); err != nil {
		return err
	}
	slots, err := s.ctx.GetSlotList(true)
	if err != nil || len(slots) == 0 {
		return fmt.Errorf("SoftHSM has no token: %w", err)
	}
	s.slot = slots[0]
	if s.open, err = s.session(); err != nil {
		return err
	}
	if err := s.ctx.Login(s.open, pkcs11.CKU_USER, softPIN); err != nil {
		return err
	}
	return s.makeKeys()
}

func (s *softHSM) session() (pkcs11.SessionHandle, error) {
	return s.ctx.OpenSession(s.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
}

func (s *softHSM) close() error {
	if s.ctx != nil {
		_ = s.ctx.Finalize() // it may not have begun
		s.ctx.Destroy()
	}
	return os.RemoveAll(s.dir)
}

func (s *softHSM) makeKeys() error {
	attr := pkcs11.NewAttribute
	token := []*pkcs11.Attribute{attr(pkcs11.CKA_TOKEN, true), attr(pkcs11.CKA_PRIVATE, true), attr(pkcs11.CKA_SENSITIVE, true)}
	private := append([]*pkcs11.Attribute{attr(pkcs11.CKA_SIGN, true)}, token...)
	for op, x := range map[string]struct {
		mechanism uint
		public    []*pkcs11.Attribute
	}{
		opP256:      {pkcs11.CKM_EC_KEY_PAIR_GEN, []*pkcs11.Attribute{attr(pkcs11.CKA_EC_PARAMS, []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"))}},
		opSecp256k1: {pkcs11.CKM_EC_KEY_PAIR_GEN, []*pkcs11.Attribute{attr(pkcs11.CKA_EC_PARAMS, []byte("\x06\x05\x2b\x81\x04\x00\x0a"))}},
		opEd25519:   {ckmEdwardsKeyPairGen, []*pkcs11.Attribute{attr(pkcs11.CKA_EC_PARAMS, append([]byte{0x13, 12}, "edwards25519"...))}},
		opRSA:       {pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, []*pkcs11.Attribute{attr(pkcs11.CKA_MODULUS_BITS, 4096), attr(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})}},
	} {
		public := append([]*pkcs11.Attribute{attr(pkcs11.CKA_TOKEN, true), attr(pkcs11.CKA_VERIFY, true)}, x.public...)
		_, k, err := s.ctx.GenerateKeyPair(s.open, []*pkcs11.Mechanism{pkcs11.NewMechanism(x.mechanism, nil)}, public, private)
		if err != nil {
			return fmt.Errorf("SoftHSM: key of %s: %w", op, err)
		}
		s.keys[op] = k
	}
	k, err := s.ctx.GenerateKey(s.open, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, append([]*pkcs11.Attribute{attr(pkcs11.CKA_VALUE_LEN, 32),
		attr(pkcs11.CKA_ENCRYPT, true)}, token...))
	if err != nil {
		return fmt.Errorf("SoftHSM: key of AES: %w", err)
	}
	s.keys[opGCM256], s.keys[opGCM4K] = k, k
	return nil
}

// callers makes callers with a session each.
func (s *softHSM) callers(op string, n int) ([]caller, error) {
	var sessions []pkcs11.SessionHandle
	for range n {
		h, err := s.session()
		if err != nil {
			return nil, fmt.Errorf("SoftHSM: %w", err)
		}
		sessions = append(sessions, h)
	}
	key, data := s.keys[op], dataOf(op)
	mechanism := uint(pkcs11.CKM_ECDSA)
	switch op {
	case opEd25519:
		mechanism = ckmEDDSA
	case opRSA:
		mechanism = pkcs11.CKM_SHA256_RSA_PKCS
	}
	i := 0
	return callersOf(n, func(*mathrand.Rand) caller {
		h := sessions[i]
		i++
		if op == opGCM256 || op == opGCM4K {
			return func(context.Context, int) error { return s.encrypt(h, key, data) }
		}
		m := []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}
		return func(context.Context, int) error {
			if err := s.ctx.SignInit(h, m, key); err != nil {
				return err
			}
			_, err := s.ctx.Sign(h, data)
			return err
		}
	}), nil
}

func (s *softHSM) encrypt(h pkcs11.SessionHandle, key pkcs11.ObjectHandle, data []byte) error {
	p := pkcs11.NewGCMParams(make([]byte, 12), nil, 128)
	defer p.Free()
	if err := s.ctx.EncryptInit(h, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, p)}, key); err != nil {
		return err
	}
	_, err := s.ctx.Encrypt(h, data)
	return err
}
