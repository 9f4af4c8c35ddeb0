// SPDX-License-Identifier: Apache-2.0

package apiv1

import "strongroom/internal/pure/custody"

// LoginIn makes a login by password and code.
type LoginIn struct {
	Password []byte `json:"password" doc:"12 to 1,024 bytes of UTF-8, in base64"`
}

// LoginView is a login that was made, or removed.
type LoginView struct {
	Person custody.PersonID `json:"person"`
	URI    string           `json:"uri,omitempty" doc:"otpauth: URI with the secret of the codes, for an authenticator program; it is shown once"`
}
