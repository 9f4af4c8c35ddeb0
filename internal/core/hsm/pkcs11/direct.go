// SPDX-License-Identifier: Apache-2.0

package pkcs11

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// A Cryptoki function list (PKCS #11 v2.40 section 4.6, CK_FUNCTION_LIST): a version and the functions in the order of the standard's pkcs11f.h.
typedef unsigned long sr_ulong;
typedef struct { unsigned char major, minor; void *f[68]; } sr_list;
enum { sr_login_at = 18, sr_encrypt_at = 30, sr_decrypt_at = 34, sr_sign_at = 43, sr_random_at = 64 };

static sr_ulong sr_find(void *handle, sr_list **out) {
	sr_ulong (*get)(sr_list **) = dlsym(handle, "C_GetFunctionList");
	*out = NULL;
	return get == NULL ? 0x54 : get(out); // CKR_FUNCTION_NOT_SUPPORTED
}
static sr_ulong sr_login(sr_list *l, sr_ulong session, void *pin, sr_ulong n) {
	return ((sr_ulong (*)(sr_ulong, sr_ulong, void *, sr_ulong))l->f[sr_login_at])(session, 1, pin, n); // CKU_USER
}
typedef sr_ulong (*sr_through)(sr_ulong, void *, sr_ulong, void *, sr_ulong *);
static sr_ulong sr_pass(sr_list *l, int at, sr_ulong session, void *in, sr_ulong n, void *out, sr_ulong *room) {
	return ((sr_through)l->f[at])(session, in, n, out, room);
}
static sr_ulong sr_random(sr_list *l, sr_ulong session, void *out, sr_ulong n) {
	return ((sr_ulong (*)(sr_ulong, void *, sr_ulong))l->f[sr_random_at])(session, out, n);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	p11 "github.com/miekg/pkcs11"
)

// direct calls the five functions of a library that take or give secrets, without a copy: github.com/miekg/pkcs11 takes the PIN as a string,
// which can't be wiped, and passes what it gets through C memory that it frees as it is.
type direct struct {
	handle unsafe.Pointer
	list   *C.sr_list
}

// openDirect loads a library and finds its functions, with the loader's own words when that is not possible.
func openDirect(path string) (*direct, error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	h := C.dlopen(p, C.RTLD_NOW)
	if h == nil {
		return nil, errors.New(C.GoString(C.dlerror()))
	}
	d := &direct{handle: h}
	if rv := C.sr_find(h, &d.list); rv != 0 || d.list == nil {
		d.close()
		return nil, fmt.Errorf("%s is no PKCS#11 library: it gives no function list", path)
	}
	return d, nil
}

// close lets the library go. Others in the process may still use it.
func (d *direct) close() { C.dlclose(d.handle) }

// Login logs the user in with a PIN that stays where it is.
func (d *direct) Login(s p11.SessionHandle, pin []byte) error {
	return rv(C.sr_login(d.list, C.sr_ulong(s), pointer(pin), C.sr_ulong(len(pin))))
}

// Encrypt is C_Encrypt: it writes to out and says how much.
func (d *direct) Encrypt(s p11.SessionHandle, in, out []byte) (int, error) {
	return d.pass(C.sr_encrypt_at, s, in, out)
}

// Decrypt is C_Decrypt.
func (d *direct) Decrypt(s p11.SessionHandle, in, out []byte) (int, error) {
	return d.pass(C.sr_decrypt_at, s, in, out)
}

// Sign is C_Sign.
func (d *direct) Sign(s p11.SessionHandle, in, out []byte) (int, error) {
	return d.pass(C.sr_sign_at, s, in, out)
}

// Random is C_GenerateRandom.
func (d *direct) Random(s p11.SessionHandle, out []byte) error {
	return rv(C.sr_random(d.list, C.sr_ulong(s), pointer(out), C.sr_ulong(len(out))))
}

func (d *direct) pass(at C.int, s p11.SessionHandle, in, out []byte) (int, error) {
	room := C.sr_ulong(len(out))
	if err := rv(C.sr_pass(d.list, at, C.sr_ulong(s), pointer(in), C.sr_ulong(len(in)), pointer(out), &room)); err != nil {
		return 0, err
	}
	if room > C.sr_ulong(len(out)) {
		return 0, fmt.Errorf("%w: it gave %d bytes where there is room for %d", ErrModule, room, len(out))
	}
	return int(room), nil
}

// pointer gives the address of bytes; the library must not see a null pointer where it is to write.
func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func rv(code C.sr_ulong) error {
	if code == 0 {
		return nil
	}
	return p11.Error(code)
}
