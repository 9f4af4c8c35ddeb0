// SPDX-License-Identifier: Apache-2.0

package ep11

// Classes of objects.
const (
	CKO_DATA              = 0
	CKO_CERTIFICATE       = 1
	CKO_PUBLIC_KEY        = 2
	CKO_PRIVATE_KEY       = 3
	CKO_SECRET_KEY        = 4
	CKO_HW_FEATURE        = 5
	CKO_DOMAIN_PARAMETERS = 6
	CKO_MECHANISM         = 7
	CKO_OTP_KEY           = 8
)

// Types of keys. The last two are those of PKCS#11 3.2's standards in EP11's numbering.
const (
	CKK_RSA               = 0x0
	CKK_DSA               = 0x1
	CKK_DH                = 0x2
	CKK_EC                = 0x3
	CKK_X9_42_DH          = 0x4
	CKK_GENERIC_SECRET    = 0x10
	CKK_DES               = 0x13
	CKK_DES2              = 0x14
	CKK_DES3              = 0x15
	CKK_AES               = 0x1f
	CKK_SHA_1_HMAC        = 0x28
	CKK_SHA256_HMAC       = 0x2b
	CKK_SHA384_HMAC       = 0x2c
	CKK_SHA512_HMAC       = 0x2d
	CKK_SHA224_HMAC       = 0x2e
	CKK_IBM_PQC_DILITHIUM = vendor + 0x10023
	CKK_IBM_PQC_KYBER     = vendor + 0x10024
	CKK_IBM_ML_DSA        = vendor + 0x10025
	CKK_IBM_ML_KEM        = vendor + 0x10026
)

// Flags of a mechanism, as GetMechanismInfo gives them.
const (
	CKF_HW                = 0x1
	CKF_ENCRYPT           = 0x100
	CKF_DECRYPT           = 0x200
	CKF_DIGEST            = 0x400
	CKF_SIGN              = 0x800
	CKF_VERIFY            = 0x2000
	CKF_GENERATE          = 0x8000
	CKF_GENERATE_KEY_PAIR = 0x10000
	CKF_WRAP              = 0x20000
	CKF_UNWRAP            = 0x40000
	CKF_DERIVE            = 0x80000
	CKF_EC_F_P            = 0x100000
	CKF_EC_NAMEDCURVE     = 0x800000
	CKF_EC_UNCOMPRESS     = 0x1000000
	CKF_EC_COMPRESS       = 0x2000000
)

// Unavailable is the value of an integer attribute that a key doesn't have.
const Unavailable = -1

// Attributes of keys.
const (
	CKA_CLASS                           = 0x0
	CKA_TOKEN                           = 0x1
	CKA_PRIVATE                         = 0x2
	CKA_LABEL                           = 0x3
	CKA_VALUE                           = 0x11
	CKA_TRUSTED                         = 0x86
	CKA_CHECK_VALUE                     = 0x90
	CKA_KEY_TYPE                        = 0x100
	CKA_SUBJECT                         = 0x101
	CKA_ID                              = 0x102
	CKA_SENSITIVE                       = 0x103
	CKA_ENCRYPT                         = 0x104
	CKA_DECRYPT                         = 0x105
	CKA_WRAP                            = 0x106
	CKA_UNWRAP                          = 0x107
	CKA_SIGN                            = 0x108
	CKA_SIGN_RECOVER                    = 0x109
	CKA_VERIFY                          = 0x10a
	CKA_VERIFY_RECOVER                  = 0x10b
	CKA_DERIVE                          = 0x10c
	CKA_START_DATE                      = 0x110
	CKA_END_DATE                        = 0x111
	CKA_MODULUS                         = 0x120
	CKA_MODULUS_BITS                    = 0x121
	CKA_PUBLIC_EXPONENT                 = 0x122
	CKA_PRIVATE_EXPONENT                = 0x123
	CKA_PRIME_1                         = 0x124
	CKA_PRIME_2                         = 0x125
	CKA_EXPONENT_1                      = 0x126
	CKA_EXPONENT_2                      = 0x127
	CKA_COEFFICIENT                     = 0x128
	CKA_PUBLIC_KEY_INFO                 = 0x129
	CKA_PRIME                           = 0x130
	CKA_SUBPRIME                        = 0x131
	CKA_BASE                            = 0x132
	CKA_PRIME_BITS                      = 0x133
	CKA_SUBPRIME_BITS                   = 0x134
	CKA_EC_PARAMS                       = 0x180
	CKA_EC_POINT                        = 0x181
	CKA_VALUE_BITS                      = 0x160
	CKA_VALUE_LEN                       = 0x161
	CKA_EXTRACTABLE                     = 0x162
	CKA_LOCAL                           = 0x163
	CKA_NEVER_EXTRACTABLE               = 0x164
	CKA_ALWAYS_SENSITIVE                = 0x165
	CKA_KEY_GEN_MECHANISM               = 0x166
	CKA_MODIFIABLE                      = 0x170
	CKA_COPYABLE                        = 0x171
	CKA_DESTROYABLE                     = 0x172
	CKA_ALWAYS_AUTHENTICATE             = 0x202
	CKA_WRAP_WITH_TRUSTED               = 0x210
	CKA_WRAP_TEMPLATE                   = 0x40000211
	CKA_UNWRAP_TEMPLATE                 = 0x40000212
	CKA_DERIVE_TEMPLATE                 = 0x40000213
	CKA_ALLOWED_MECHANISMS              = 0x40000600
	CKA_IBM_RESTRICTABLE                = vendor + 0x10001
	CKA_IBM_NEVER_MODIFIABLE            = vendor + 0x10002
	CKA_IBM_RETAINKEY                   = vendor + 0x10003
	CKA_IBM_ATTRBOUND                   = vendor + 0x10004
	CKA_IBM_KEYTYPE                     = vendor + 0x10005
	CKA_IBM_CV                          = vendor + 0x10006
	CKA_IBM_MACKEY                      = vendor + 0x10007
	CKA_IBM_USE_AS_DATA                 = vendor + 0x10008
	CKA_IBM_STRUCT_PARAMS               = vendor + 0x10009
	CKA_IBM_STD_COMPLIANCE1             = vendor + 0x1000a
	CKA_IBM_PROTKEY_EXTRACTABLE         = vendor + 0x1000c
	CKA_IBM_PROTKEY_NEVER_EXTRACTABLE   = vendor + 0x1000d
	CKA_IBM_PQC_PARAMS                  = vendor + 0x1000e
	CKA_IBM_LOGIN_SESSION               = vendor + 0x1000f
	CKA_IBM_WIRETEST                    = vendor + 0x20001
	CKA_IBM_MACED_PUBLIC_KEY_INFO       = vendor + 0x20002
	CKA_IBM_PARAMETER_SET               = vendor + 0x10010
	CKA_IBM_GREP11_TOKEN_LABEL          = vendorGREP11 + 1
	CKA_IBM_GREP11_WKID                 = vendorGREP11 + 2
	CKA_IBM_GREP11_KEYSTORE_PASSWORD    = vendorGREP11 + 3
	CKA_IBM_GREP11_KEYBLOB_HAS_ROTATION = vendorGREP11 + 4
	CKA_IBM_GREP11_NEXTWKID             = vendorGREP11 + 5
)
