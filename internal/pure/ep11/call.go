// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"fmt"

	"strongroom/internal/pure/canon"
)

// Function is one of the forty calls, by its number in the service.
type Function uint8

// The functions.
const (
	FnGenerateRandom   Function = 1
	FnDigestInit       Function = 2
	FnDigest           Function = 3
	FnDigestUpdate     Function = 4
	FnDigestKey        Function = 5
	FnDigestFinal      Function = 6
	FnDigestSingle     Function = 7
	FnEncryptInit      Function = 8
	FnDecryptInit      Function = 9
	FnEncryptUpdate    Function = 10
	FnDecryptUpdate    Function = 11
	FnEncrypt          Function = 12
	FnDecrypt          Function = 13
	FnEncryptFinal     Function = 14
	FnDecryptFinal     Function = 15
	FnEncryptSingle    Function = 16
	FnDecryptSingle    Function = 17
	FnSignInit         Function = 18
	FnVerifyInit       Function = 19
	FnSignUpdate       Function = 20
	FnVerifyUpdate     Function = 21
	FnSignFinal        Function = 22
	FnVerifyFinal      Function = 23
	FnSign             Function = 24
	FnVerify           Function = 25
	FnSignSingle       Function = 26
	FnVerifySingle     Function = 27
	FnReencryptSingle  Function = 28
	FnGenerateKey      Function = 29
	FnGenerateKeyPair  Function = 30
	FnWrapKey          Function = 31
	FnUnwrapKey        Function = 32
	FnDeriveKey        Function = 33
	FnGetMechanismList Function = 34
	FnGetMechanismInfo Function = 35
	FnGetAttribute     Function = 36 // GetAttributeValue
	FnSetAttribute     Function = 37 // SetAttributeValue
	FnLogin            Function = 38
	FnLogout           Function = 39
	FnRewrapKeyBlob    Function = 40
)

// Functions is how many there are; they are numbered from 1.
const Functions = 40

// functionNames are by number, as in the service.
var functionNames = [Functions + 1]string{"", "GenerateRandom", "DigestInit", "Digest", "DigestUpdate", "DigestKey", "DigestFinal",
	"DigestSingle", "EncryptInit", "DecryptInit", "EncryptUpdate", "DecryptUpdate", "Encrypt", "Decrypt", "EncryptFinal", "DecryptFinal",
	"EncryptSingle", "DecryptSingle", "SignInit", "VerifyInit", "SignUpdate", "VerifyUpdate", "SignFinal", "VerifyFinal", "Sign", "Verify",
	"SignSingle", "VerifySingle", "ReencryptSingle", "GenerateKey", "GenerateKeyPair", "WrapKey", "UnwrapKey", "DeriveKey",
	"GetMechanismList", "GetMechanismInfo", "GetAttributeValue", "SetAttributeValue", "Login", "Logout", "RewrapKeyBlob"}

// Known says whether the number is a function's.
func (f Function) Known() bool { return f >= 1 && f <= Functions }

// String gives the name in the service, or the number.
func (f Function) String() string {
	if !f.Known() {
		return fmt.Sprintf("unknown-function-%d", uint8(f))
	}
	return functionNames[f]
}

// FunctionNamed reads a name.
func FunctionNamed(name string) (Function, bool) {
	for i, n := range functionNames {
		if n == name && i > 0 {
			return Function(i), true
		}
	}
	return 0, false
}

// Mechanism says what to do, with its parameter: at most one of Parameter and the structures is set. Fields are numbered as in the service.
type Mechanism struct {
	Type      uint64     `cbor:"1,keyasint"` // CKM
	Parameter []byte     `cbor:"2,keyasint,omitempty"`
	OAEP      *OAEP      `cbor:"3,keyasint,omitempty"`
	PSS       *PSS       `cbor:"4,keyasint,omitempty"`
	ECDH      *ECDH      `cbor:"5,keyasint,omitempty"`
	BTC       *BTC       `cbor:"6,keyasint,omitempty"`
	Sign      *ECSign    `cbor:"7,keyasint,omitempty"`
	Kyber     *Kyber     `cbor:"8,keyasint,omitempty"`
	Aggregate *Aggregate `cbor:"9,keyasint,omitempty"`
}

// OAEP is the parameter of CKM_RSA_PKCS_OAEP.
type OAEP struct {
	Hash   uint64 `cbor:"1,keyasint"` // CKM of a digest
	MGF    uint64 `cbor:"2,keyasint"` // CKG
	Source uint64 `cbor:"3,keyasint"` // CKZ: 0 without a label, 1 with
	Label  []byte `cbor:"4,keyasint,omitempty"`
}

// PSS is the parameter of the RSA-PSS mechanisms.
type PSS struct {
	Hash uint64 `cbor:"1,keyasint"` // CKM of a digest
	MGF  uint64 `cbor:"2,keyasint"` // CKG
	Salt uint64 `cbor:"3,keyasint"` // bytes; [SaltOfHash] is as long as the hash
}

// SaltOfHash as a salt's length asks for one as long as the hash.
const SaltOfHash = 0xffffffff

// ECDH is the parameter of the key agreements.
type ECDH struct {
	KDF    uint64 `cbor:"1,keyasint"` // CKD
	Shared []byte `cbor:"2,keyasint,omitempty"`
	Public []byte `cbor:"3,keyasint,omitempty"` // the other side's raw public key
}

// BTC is the parameter of CKM_IBM_BTC_DERIVE.
type BTC struct {
	Type      uint64 `cbor:"1,keyasint"` // what is derived from what, see CK_BIP0032_PRV2PRV
	Index     uint64 `cbor:"2,keyasint"` // of the child; hardened from 0x80000000
	ChainCode []byte `cbor:"3,keyasint,omitempty"`
	Version   uint64 `cbor:"4,keyasint"`
}

// ECSign is the parameter of CKM_IBM_ECDSA_OTHER.
type ECSign struct {
	Type uint64 `cbor:"1,keyasint"` // see CK_ECSG_S256
}

// Kyber is the parameter of the key encapsulations. Blob is that of a generic secret for the hybrid forms.
type Kyber struct {
	Version uint64 `cbor:"1,keyasint"`
	Mode    uint64 `cbor:"2,keyasint"` // 1 encapsulate, 2 decapsulate
	KDF     uint64 `cbor:"3,keyasint"` // CKD
	Prepend bool   `cbor:"4,keyasint"`
	Cipher  []byte `cbor:"5,keyasint,omitempty"`
	Shared  []byte `cbor:"6,keyasint,omitempty"`
	Blob    []byte `cbor:"7,keyasint,omitempty"`
}

// Aggregate is the parameter of CKM_IBM_EC_AGGREGATE. Elements lie one after the other, each of Size bytes.
type Aggregate struct {
	Version  uint64 `cbor:"1,keyasint"`
	Mode     uint64 `cbor:"2,keyasint"` // 1 signatures, 2 public keys
	Size     uint64 `cbor:"3,keyasint"`
	Elements []byte `cbor:"4,keyasint,omitempty"`
}

// Values in parameters, as the service's messages number them: 0x800000+n stands for PKCS#11's vendor number 0x80000000+n.
const (
	CKG_MGF1_SHA1     = 1
	CKG_MGF1_SHA256   = 2
	CKG_MGF1_SHA384   = 3
	CKG_MGF1_SHA512   = 4
	CKG_MGF1_SHA224   = 5
	CKG_MGF1_SHA3_224 = 0x800001
	CKG_MGF1_SHA3_256 = 0x800002
	CKG_MGF1_SHA3_384 = 0x800003
	CKG_MGF1_SHA3_512 = 0x800004

	CKD_NULL              = 1
	CKD_SHA1_KDF          = 2
	CKD_SHA224_KDF        = 5
	CKD_SHA256_KDF        = 6
	CKD_SHA384_KDF        = 7
	CKD_SHA512_KDF        = 8
	CKD_HYBRID_NULL       = 0x800001
	CKD_HYBRID_SHA1_KDF   = 0x800002
	CKD_HYBRID_SHA224_KDF = 0x800003
	CKD_HYBRID_SHA256_KDF = 0x800004
	CKD_HYBRID_SHA384_KDF = 0x800005
	CKD_HYBRID_SHA512_KDF = 0x800006

	CK_BIP0032_PRV2PRV  = 1
	CK_BIP0032_PRV2PUB  = 2
	CK_BIP0032_PUB2PUB  = 3
	CK_BIP0032_MASTERK  = 4
	CK_SLIP0010_PRV2PRV = 5
	CK_SLIP0010_PRV2PUB = 6
	CK_SLIP0010_PUB2PUB = 7
	CK_SLIP0010_MASTERK = 8

	CK_ECSG_S256        = 3 // BSI TR-03111
	CK_ECSG_COMPR_MULTI = 5
	CK_ECSG_BLS         = 6
	CK_KEM_ENCAPSULATE  = 1
	CK_KEM_DECAPSULATE  = 2
	CK_AGGREGATE_SIGN   = 1
	CK_AGGREGATE_PUBLIC = 2
	CKZ_NO_DATA         = 0
	CKZ_DATA_SPECIFIED  = 1
)

// Attribute is the value of an attribute: at most one of the fields is set. With none it asks for a value. An empty byte string and none are
// the same.
type Attribute struct {
	Bytes []byte `cbor:"1,keyasint,omitempty"`
	Bool  *bool  `cbor:"2,keyasint,omitempty"`
	Int   *int64 `cbor:"3,keyasint,omitempty"`
}

// Template is attributes by their CKA number.
type Template map[uint64]Attribute

// Call is one call of any function; what a function doesn't take is empty.
type Call struct {
	Function   Function   `cbor:"1,keyasint"`
	Mechanism  *Mechanism `cbor:"2,keyasint,omitempty"` // ReencryptSingle: to decrypt with; GetMechanismInfo: Type alone
	Mechanism2 *Mechanism `cbor:"3,keyasint,omitempty"` // ReencryptSingle: to encrypt with
	Key        []byte     `cbor:"4,keyasint,omitempty"` // blob: the key; ReencryptSingle: to decrypt with; UnwrapKey: none; DeriveKey: base; Get and SetAttributeValue: object; RewrapKeyBlob
	Key2       []byte     `cbor:"5,keyasint,omitempty"` // blob: ReencryptSingle to encrypt with; WrapKey and UnwrapKey: KeK
	Key3       []byte     `cbor:"6,keyasint,omitempty"` // blob: WrapKey and UnwrapKey: MacKey
	Data       []byte     `cbor:"7,keyasint,omitempty"` // UnwrapKey: Wrapped; Login: Storeid
	Signature  []byte     `cbor:"8,keyasint,omitempty"`
	State      []byte     `cbor:"9,keyasint,omitempty"`
	Template   Template   `cbor:"10,keyasint,omitempty"` // GenerateKeyPair: the private key's
	Template2  Template   `cbor:"11,keyasint,omitempty"` // GenerateKeyPair: the public key's
	Len        uint64     `cbor:"12,keyasint,omitempty"` // GenerateRandom
	Pin        []byte     `cbor:"13,keyasint,omitempty"` // Login
}

// Info is what GetMechanismInfo tells. Sizes are in the unit of PKCS#11 for the mechanism: bits for RSA, DSA, DH, EC, bytes for symmetric keys.
type Info struct {
	Min   uint64 `cbor:"1,keyasint"`
	Max   uint64 `cbor:"2,keyasint"`
	Flags uint64 `cbor:"3,keyasint"`
}

// Answer is the answer to a call that succeeded; what a function doesn't give is empty.
type Answer struct {
	Data       []byte   `cbor:"1,keyasint,omitempty"` // Rnd, Digest, Ciphered, Plain, Signature, Wrapped, Reciphered, Pinblob
	State      []byte   `cbor:"2,keyasint,omitempty"`
	CheckSum   []byte   `cbor:"3,keyasint,omitempty"`
	Key        []byte   `cbor:"4,keyasint,omitempty"` // blob; GenerateKeyPair: the private key's; parameters of a parameter generation; SetAttributeValue: object
	Key2       []byte   `cbor:"5,keyasint,omitempty"` // GenerateKeyPair: the public key's
	Attributes Template `cbor:"6,keyasint,omitempty"` // GetAttributeValue
	Mechanisms []uint64 `cbor:"7,keyasint,omitempty"`
	Info       *Info    `cbor:"8,keyasint,omitempty"`
}

// Bounds of a call, in bytes unless said otherwise.
const (
	MaxData      = 4 << 20   // data, signatures, concatenated elements
	MaxBlob      = 12 << 10  // one key blob; the largest is that of a private key of Dilithium 8-7 with its public half
	MaxKeys      = 512 << 10 // several blobs one after the other
	MaxState     = 32 << 10
	MaxTemplate  = 64      // attributes
	MaxAttribute = 8 << 10 // value of one, as it comes in
	MaxRandom    = 1_000_000
	MaxParameter = 8 << 10 // of a mechanism, without elements
	MaxCall      = 6 << 20 // encoded
)

// Encode gives the canonical encoding.
func (c Call) Encode() []byte { return canon.Encode(c) }

// Encode gives the canonical encoding.
func (a Answer) Encode() []byte { return canon.Encode(a) }

// DecodeCall reads a call and checks its form and bounds. What is not well-formed is CKR_ARGUMENTS_BAD.
func DecodeCall(b []byte) (Call, error) {
	var c Call
	if len(b) > MaxCall {
		return Call{}, Fail(CKR_ARGUMENTS_BAD, "a call of %d bytes, at most %d", len(b), MaxCall)
	}
	if err := canon.Decode(b, &c); err != nil {
		return Call{}, Fail(CKR_ARGUMENTS_BAD, "the call is not well-formed")
	}
	return c, c.Check()
}

// DecodeAnswer reads an answer.
func DecodeAnswer(b []byte) (Answer, error) {
	var a Answer
	if err := canon.Decode(b, &a); err != nil {
		return Answer{}, fmt.Errorf("ep11: answer is not well-formed: %w", err)
	}
	return a, nil
}

// Check says whether the call has the form of one, with every part in bounds.
func (c Call) Check() error {
	if !c.Function.Known() {
		return Fail(CKR_FUNCTION_NOT_SUPPORTED, "function %d is not known", c.Function)
	}
	for _, part := range []struct {
		name string
		b    []byte
		most int
	}{{"key", c.Key, MaxKeys}, {"key", c.Key2, MaxKeys}, {"key", c.Key3, MaxKeys}, {"data", c.Data, MaxData}, {"signature", c.Signature, MaxData},
		{"state", c.State, MaxState}, {"pin", c.Pin, 256}} {
		if len(part.b) > part.most {
			return Fail(CKR_ARGUMENTS_BAD, "%s of %d bytes, at most %d", part.name, len(part.b), part.most)
		}
	}
	for _, m := range []*Mechanism{c.Mechanism, c.Mechanism2} {
		if m != nil {
			if err := m.Check(); err != nil {
				return err
			}
		}
	}
	for _, t := range []Template{c.Template, c.Template2} {
		if err := t.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Check says whether at most one parameter is set, and in bounds.
func (m Mechanism) Check() error {
	set, size := 0, len(m.Parameter)
	if size > 0 {
		set++
	}
	if m.OAEP != nil {
		set, size = set+1, size+len(m.OAEP.Label)
	}
	if m.PSS != nil {
		set++
	}
	if m.ECDH != nil {
		set, size = set+1, size+len(m.ECDH.Shared)+len(m.ECDH.Public)
	}
	if m.BTC != nil {
		set, size = set+1, size+len(m.BTC.ChainCode)
	}
	if m.Sign != nil {
		set++
	}
	if m.Kyber != nil {
		set, size = set+1, size+len(m.Kyber.Cipher)+len(m.Kyber.Shared)
		if len(m.Kyber.Blob) > MaxBlob {
			return Fail(CKR_MECHANISM_PARAM_INVALID, "a blob of %d bytes, at most %d", len(m.Kyber.Blob), MaxBlob)
		}
	}
	if m.Aggregate != nil {
		set++
		if len(m.Aggregate.Elements) > MaxKeys {
			return Fail(CKR_MECHANISM_PARAM_INVALID, "elements of %d bytes, at most %d", len(m.Aggregate.Elements), MaxKeys)
		}
	}
	if set > 1 || size > MaxParameter {
		return Fail(CKR_MECHANISM_PARAM_INVALID, "%d parameters of %d bytes; give one of at most %d", set, size, MaxParameter)
	}
	return nil
}

// Check says whether the number of attributes and their sizes are in bounds, and each has one value at most.
func (t Template) Check() error {
	if len(t) > MaxTemplate {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "%d attributes, at most %d", len(t), MaxTemplate)
	}
	for n, a := range t {
		set := 0
		for _, is := range []bool{len(a.Bytes) > 0, a.Bool != nil, a.Int != nil} {
			if is {
				set++
			}
		}
		if set > 1 || len(a.Bytes) > MaxAttribute {
			return Fail(CKR_ATTRIBUTE_VALUE_INVALID, "attribute 0x%x has %d values, %d bytes", n, set, len(a.Bytes))
		}
	}
	return nil
}
