// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"encoding/hex"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
)

// unhex reads the digits of a published vector in this file; a test reads them all.
func unhex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err) // constant digits: a programming error
	}
	return b
}

// rsaTestKey is the private key of Wycheproof's RSA tests of 2048 bits.
func rsaTestKey() []byte {
	return unhex("dc431050f782e894fb5248247d98cb7d58b8d1e24f3b55d041c56e4de086b0d5bb028bda42eeb5d234d5681e5809d415e6a289ad4cfbf78f978f6c35" +
		"814f50eebff1c5b80a69f788e81e6bab5ddaa78369d659d143ec6f17e79813a575cfad9c569156b90113e2e9110ad9e7b48a1c9348a6e65332119129" +
		"0ea36cfb3a5b18f1bd1a81e7977f9898122273ae3222b598ea5fb19eb4eabc38308a5e32196603b2e500ffb79f5b886816611debc472fac45544070b" +
		"eb057c941378a6868af3b7a03d3f9880ec47d5e089b94fbde542aba9ae8d72c57088d7abf5b131f39098f7bc160f90536abc9492fd4e06f3ed7299d4" +
		"b97bb03677207d95669f140cfbc20f2524cdc62317f5d72a6f6ba6cc9632899b01d1ff28867d72f61688995bc855a4e420a8405250089bdb13cf8e09" +
		"543827b748b9d27fbb2b4d9e20af8c5a6a862796d1a4cc18ad16ea678bc1bd4a83bbbe9c5e57453b5ce7388e41a3ba4ce2b77b4438a229e954f720da" +
		"e0353dc088ac8a76b26dc276f8e1b7851ddd6398ad16ff2e78195123b9b036e945c38c9d12434f6df76fe22359eb3e1ac9c011678fc926fad3ae475a" +
		"4fffff55feb2d147e9c894f4c0e29a599e762462482d968bf42780945fc0d2c31c573c4431b8f4fe8b8c67bec815abd44f7a86edca1c2308737358d2" +
		"c2ae5e2e0e2dadf730980262377e58b13b7d9992060a0bc870ccfdb4a9319ee1")
}

func rsaTestModulus() []byte {
	return unhex("a2b451a07d0aa5f96e455671513550514a8a5b462ebef717094fa1fee82224e637f9746d3f7cafd31878d80325b6ef5a1700f65903b469429e89d6ea" +
		"c8845097b5ab393189db92512ed8a7711a1253facd20f79c15e8247f3d3e42e46e48c98e254a2fe9765313a03eff8f17e1a029397a1fa26a8dce26f4" +
		"90ed81299615d9814c22da610428e09c7d9658594266f5c021d0fceca08d945a12be82de4d1ece6b4c03145b5d3495d4ed5411eb878daf05fd7afc3e" +
		"09ada0f1126422f590975a1969816f48698bcbba1b4d9cae79d460d8f9f85e7975005d9bc22c4e5ac0f7c1a45d12569a62807d3b9a02e5a530e77306" +
		"6f453d1f5b4c2e9cf7820283f742b9d5")
}

// answers are the known answers of each algorithm. Those made with an auxiliary value have 32 zero bytes of it.
var answers = map[Mechanism][]KnownAnswer{
	described.BIP32: {
		{
			Source: "BIP-32, test vector 1, chain m/0H",
			Kind:   described.KindHDSeed,
			Secret: unhex("000102030405060708090a0b0c0d0e0f"),
			Path:   secp.Path{secp.HardenedBit},
			Output: unhex("edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"),
		},
	},
	described.ECDSASecp256k1: {
		{
			Source: "RFC 6979 section 3.6 with 32 zero bytes, as a second implementation makes it",
			Kind:   described.KindSecp256k1,
			Secret: unhex("0000000000000000000000000000000000000000000000000000000000000001"),
			Public: unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
			Input:  unhex("a0dc65ffca799873cbea0ac274015b9526505daaaed385155425f7337704883e"),
			Output: unhex("e9b9772c96fa631dd74baa0da145c46012112b1dbd5d81600fc9f9905b946cbb000d08f7541213737694648cf81d77373a9e55632d3f6eb1826194adcb596707"),
		},
		{
			Source: "RFC 6979 without additional data, widely published for secp256k1",
			Kind:   described.KindSecp256k1,
			Secret: unhex("0000000000000000000000000000000000000000000000000000000000000001"),
			Public: unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
			Input:  unhex("a0dc65ffca799873cbea0ac274015b9526505daaaed385155425f7337704883e"),
			Random: true,
			Output: unhex("934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a51" +
				"2aafd9e5"),
		},
	},
	described.BIP340: {
		{
			Source: "BIP-340 test vector 0",
			Kind:   described.KindSecp256k1,
			Secret: unhex("0000000000000000000000000000000000000000000000000000000000000003"),
			Public: unhex("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
			Input:  make([]byte, 32),
			Output: unhex("e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d" +
				"310536c0"),
		},
	},
	described.ECDSAP256: {
		{
			Source: "RFC 6979 appendix A.2.5, SHA-256, \"sample\"",
			Kind:   described.KindP256,
			Secret: unhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"),
			Public: unhex("0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c2" +
				"94d4462299"),
			Input: unhex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"),
			Output: unhex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f" +
				"843acda8"),
		},
	},
	described.ECDSAP384: {
		{
			Source: "RFC 6979 appendix A.2.6, SHA-384, \"sample\"",
			Kind:   described.KindP384,
			Secret: unhex("6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5"),
			Public: unhex("04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef" +
				"9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"),
			Input: unhex("9a9083505bc92276aec4be312696ef7bf3bf603f4bbd381196a029f340585312313bca4a9b5b890efee42c77b1ee25fe"),
			Output: unhex("94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db" +
				"2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"),
		},
	},
	described.ECDSAP521: {
		{
			Source: "RFC 6979 appendix A.2.7, SHA-512, \"sample\"",
			Kind:   described.KindP521,
			Secret: unhex("00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08" +
				"b0e996b83538"),
			Public: unhex("0401894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac" +
				"474b9a2f5023a400493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4" +
				"d33f81ea66956dfeaa2bfdfcf5"),
			Input: unhex("39a5e04aaff7455d9850c605364f514c11324ce64016960d23d5dc57d3ffd8f49a739468ab8049bf18eef820cdb1ad6c9015f838556bc7fad4138b23" +
				"fdf986c7"),
			Output: unhex("00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf" +
				"05ec36e377fa00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1" +
				"dccc43997f1ee0e44da4a67a"),
		},
	},
	described.EdDSA: {
		{
			Source: "RFC 8032 section 7.1, test 2",
			Kind:   described.KindEd25519,
			Secret: unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
			Public: unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
			Input:  unhex("72"),
			Output: unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d2916" +
				"12bb0c00"),
		},
	},
	described.BLS: {
		{
			Source: "Ethereum's BLS tests, sign, key 47b8…",
			Kind:   described.KindBLS,
			Secret: unhex("47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138"),
			Public: unhex("b301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81"),
			Input:  make([]byte, 32),
			Output: unhex("b23c46be3a001c63ca711f87a005c200cc550b9429d5f4eb38d74322144f1b63926da3388979e5321012fb1a0526bcd100b5ef5fe72628ce4cd5e904" +
				"aeaa3279527843fae5ca9ca675f4f51ed8f83bbf7155da9ecc9663100a885d5dc6df96d9"),
		},
	},
	described.RSAPKCS1: {
		{
			Source: "Wycheproof rsa_signature_2048_sha256, test 2",
			Kind:   described.KindRSA2048,
			Secret: rsaTestKey(),
			Public: rsaTestModulus(),
			Input:  unhex("0000000000000000000000000000000000000000"),
			Output: unhex("8a1b220cb2ab415dc760eb7f5bb10335a3cca269d7dbbf7d0962ba79f9cf7b43a5fc09c99a1584f07403473d6c189a836897a5b6f8ea9fa22d601e6b" +
				"a5f7411fe27c638b81b1a22363583a80fce8c7df3e40fb51bd0e60d0a6653f79f3bcb7ec3e9dc14cfb5b31ab1735bca692d50ac03f979dda92747c64" +
				"30f8045efa3513ba6e0ce3e9e35570e1c30c8ebe589b44192e1344ca83dfa576fc6fdc7bf1cd7cee875b001c8c02ce8d602769e4bd9d241c4857182a" +
				"0089a8b67644e73eef105c550efa47a40874289395ac0c4e02fd4ba98e130a4c2d1b95521c6af4a002ac3bdc6e52122ae4c08cc3da1c896e059acbdd" +
				"ec574ac0432f6103dd97273d8803c102"),
		},
	},
	described.RSAPSS: {
		{
			Source: "Wycheproof rsa_pss_2048_sha256_mgf1_32, test 2",
			Kind:   described.KindRSA2048,
			Secret: rsaTestKey(),
			Public: rsaTestModulus(),
			Input:  unhex("0000000000000000000000000000000000000000"),
			Random: true,
			Output: unhex("0658c68fe0895646056d9bca422a64fe48813b4e14f0c8c4122e56d345b6813dc6286ffde014617e351c7af0a0d2c0f285def79cb734e1e055a25fa6" +
				"fddc1c07da17b4b235c637413b1849c24311fa72331f4c0458c364a4916de8619b884d7e37288fad12926fc091f4851686a04fd0a504dbce3db37066" +
				"3a6ea6128fea86c2ca94c63e0d34d7f2c845b5d71d9a5e544451f524a451acb85c49bba7864e0a34a48613a819caf3dfd0d510c940f1df21c3373915" +
				"be1f3509a557fa4d5a4e9f273e85467961133e2482c0907386454228fb0246638616fc31bbb6fa7c2361b8035994eec69a923f4c0bb0ba8696dfe8b1" +
				"400c2398d7b343fdf498b1116c8de602"),
		},
	},
	described.RSAOAEP: {
		{
			Source: "Wycheproof rsa_oaep_2048_sha256_mgf1sha256, test 2",
			Kind:   described.KindRSA2048,
			Secret: rsaTestKey(),
			Public: rsaTestModulus(),
			Input:  unhex("0000000000000000000000000000000000000000"),
			Output: unhex("207180c340658b5154ae45d2e4e7326a0997c683a26b595e536a29333c4b66149af85e029d5419a39e3a147b221516ffd86b6b4b66c3e0c4c49fe8c5" +
				"7a2f5c37b8704b9b592b80db9cd788a4ed51ab4f0a1cbed63bd18d1f06a22f225866b0c2c417cb23473b7ba4250b1353bd2e5b4f0f937cd2efe5fa38" +
				"db3c295f7748b970088657db4aa9a76e1ee6fbff166ec1861d00d085326c7384bdd1bc2f400d4f74dbdfadaf3fdc46073e668573e02030b9eb5af58e" +
				"b540c66677a771194479ec0098d858a2ea45d0ba1e6b32440dfbac745000554d51a17684ca964b02a74d479f1d432ef763ef4059715a4348cfe36a21" +
				"5359712f25b6977903be4adb92febbf6"),
		},
	},
	described.AESGCM: {
		{
			Source:     "Wycheproof aes_gcm, test 100",
			Kind:       described.KindAES256,
			Secret:     unhex("b279f57e19c8f53f2f963f5f2519fdb7c1779be2ca2b3ae8e1128b7d6c627fc4"),
			Input:      unhex("fcc515b294408c8645c9183e3f4ecee5127846d1"),
			Additional: unhex("c0"),
			Random:     true,
			Output:     unhex("98bc2c7438d5cd7665d76f6eeb5500e3825952866d911253f8de860c00831c81ecb660e1fb0541ec41e8d68a64141b3a"),
		},
	},
	described.AESKeyWrap: {
		{
			Source: "Wycheproof aes_kwp, test 175",
			Kind:   described.KindAES256,
			Secret: unhex("1abf4b7fa2bb62a78f09ddab04625dcacdd9e551d1a69b6b162baa53d2700093"),
			Input:  unhex("d9445094b1"),
			Output: unhex("077362f50356fc7c54c70f9cb4306f7d"),
		},
		{
			Source: "Wycheproof aes_kwp, test 167",
			Kind:   described.KindAES256,
			Secret: unhex("38e1b1d075d9d852b9a6c01c8ff6965af01bac457a4e339ae3e1d7b2ffacc0cd"),
			Input:  unhex("80ad6820f1c90981e2ca42b817a345c1179d0a11d8e23a8adc0505e13d87295a"),
			Output: unhex("b63b7e0fec7e315816233db6758fd3e744b9f6a40862bdf866487e53bcb950d8b2649269e51b4475"),
		},
	},
	described.HMACSHA256: {
		{
			Source: "Wycheproof hmac_sha256, test 9",
			Kind:   described.KindGeneric,
			Secret: unhex("233e4fdee70bcc20235b6977ddfc05b0df66f5635d827c66e5a63cdb16a24938"),
			Input:  unhex("fdb2ee4b6d1a0ac2"),
			Output: unhex("120b26ee1355c134c262513c7922deb6c4fd90303de4cd61b9f9cd08f22d6e18"),
		},
	},
	described.HMACSHA384: {
		{
			Source: "Wycheproof hmac_sha384, test 9",
			Kind:   described.KindGeneric,
			Secret: unhex("44b79852cabcf3fe93d2fff55d2afe6a46c35b7ad1954ce0888de7b459b982722faf8b490e6b00e7bcabbd36f18443f5"),
			Input:  unhex("9398cd251deafe8b"),
			Output: unhex("56128fb438a93f6f48f47c0f4c7549f8008a8e69bbdbf0886ec40f86e7870034ef9090d2b04057391f1def5b25e8f0ad"),
		},
	},
	described.HMACSHA512: {
		{
			Source: "Wycheproof hmac_sha512, test 9",
			Kind:   described.KindGeneric,
			Secret: unhex("dd4e05933d09711ee88cb4c1ceb3600b2b33808bc08d499387b331d9c7af49bc65b55172cf8083385a940e4b864b7b4b73ddf3bd513a6cbcac73878a" +
				"879b4d06"),
			Input: unhex("66948029351432c3"),
			Output: unhex("9968a16eff2b4eeecb2f9d11fcb105e8d8ca59ed4e69131c9de599cd8155fa4f33def1195a6b452263aad9265e16d4951841d7cd33c74c475da04497" +
				"c02922ea"),
		},
	},
	described.MLDSA44: {
		{
			Source: "Wycheproof mldsa_44_sign_seed, test 1",
			Kind:   described.KindMLDSA44,
			Secret: unhex("2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a"),
			Public: unhex("d87f8ca136ac1aa55e2d6c4521680efb3a378cbb9bc0bfb446e9c60893931ea3"),
			Input:  unhex("48656c6c6f20776f726c64"),
			Hashed: true,
			Output: unhex("8cd6fc03daa72e87210a4e721523e84c14f27733789075e65736744d4787fdd5"),
		},
	},
	described.MLDSA65: {
		{
			Source: "Wycheproof mldsa_65_sign_seed, test 1",
			Kind:   described.KindMLDSA65,
			Secret: unhex("2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a"),
			Public: unhex("b7acce2ddb11f8cc1aa46e2bafac6eacfa2b732ef192bd636ad8d3a56d649c66"),
			Input:  unhex("48656c6c6f20776f726c64"),
			Hashed: true,
			Output: unhex("39fbbb0d97a52c79844213b325af823a7f16a174e00a5b3daeb3e6e6d1c89681"),
		},
	},
	described.MLDSA87: {
		{
			Source: "Wycheproof mldsa_87_sign_seed, test 1",
			Kind:   described.KindMLDSA87,
			Secret: unhex("2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a"),
			Public: unhex("d43128fa8a8c785c1d44c9e7db538dbf9dd88fe6c8ad911a344bcec1017c6d54"),
			Input:  unhex("48656c6c6f20776f726c64"),
			Hashed: true,
			Output: unhex("1ad45bd0419e694375bd38ec11d8e0c228ab9ffac2fce4adbe6218d9c949e293"),
		},
	},
	described.MLKEM768: {
		{
			Source: "Wycheproof mlkem_768, test 2",
			Kind:   described.KindMLKEM768,
			Secret: unhex("7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d8626ed79d451140800e03b59b956f8210e556067407d13dc90fa9e8b872bfb8f"),
			Public: unhex("86adbca81f4fee893e2fb58fb98aa2fe188f501fed268d7f4056f8c05c4e53c4"),
			Input: unhex("c8391085b8d3ea9794212541b2914f08964d33521d3f67ad66096ebfb1f706424b49558f755b5625bae236f2e0079601c766f7d960808f7e2bb0c7a5e066ed34" +
				"6de628f8c57eebabbb0c22d911548463693ef3ce52a53f7ff415f00e657ae1c5a48fa5ec6e4be5cf462daffc84d2f6d5ff55dc9bbe8bb0d725ec64fd4cd4bd8d" +
				"ba0a844e8b5ce4b6a28934d7f7a050991fe185b506b451dabfad52d52cb2114ca7d9a5cf986c8fdc1bc10ec0c1869e50c03c55a76192a1049aca636ba9020bda" +
				"a8d0f58c763b0b89845ca06d4c4ddc21433e16b9c62e44871fdbc05ba218af871fdd7dcfa464e60faa5265264ce1391bd9a8c5faa7626d5f159b9805b975710a" +
				"3503a0b858a11c6a647cc0e19ac88b1be9056c95b4d2087d0951d1d2f4992491117e6347794ba54571ec49bba71af3413d38a30bf5872248d1f6d07c86baf782" +
				"e73d2637f043d341a00921857d8b21ddf3e1d6310036ed27af49e5de1b900fe4de79808ff29f9570859612b15adc01fbb265b305b1e3a12ae419da5b74261fa2" +
				"84c101da3d8dca8b2e4521aca571ef44a058e844ff32b16d5aaea05f7f3af8e2ab16222e347662eddfb891d0ecc2a55c5638f9dde92d9a3d544a5f901ac501ac" +
				"d1ea6a010201fcb10ad702c425a94bdf5890d500a2a147eee1d1fcba8c3abe7c2dfe70f346f033d816a0b2791b4f0b2d956d9ee5971715399a5688302495e2e0" +
				"7c1c8c01527184bcd0c208bc159f2e13318c0bb3dd24a6a7fc849f83385ed4dba07fe1d7bd5640cc9ed5ccfdd68763cb0d0edf61b292177fc1d2d3c11dd04950" +
				"56bcb12558aebcfddef9feb4aebc57afd9023c65cfe65a24e33f1b00111e92e63e011eaf0b212cf95743cd07f5189ece1f205b7f6fcb2e6b1961b5404cebe47c" +
				"8cd13b8599d5b49e6d87eeda36e9b8fc4c00635896aa2b75896e336d1b612ee13db811e1f07e61748d920f4865f3f11741399dc6162c91ca168a02329dff821d" +
				"58198712dd558abb099b3a0baf9da1b730b2aa73bcf58d74f357b06f7211c804b6c8af16ff3509fad1d35b14bfdced7db8a6a25c48e5956480724daa057cd660" +
				"b67ee3e472574182679d485838a6476eac02141075c812af7967ba7c9185cc2abd2a4545b80f3d3104d58d654a57792dcfabbe9c0715e8de2ef81ef404c8168f" +
				"d7a43efab3d448e686a088efd26a26159948926723d7eccc39e3c1b719cf8becb7be7e964f22cd8cb1b7e25e800ea97d60a64cc0bbd9cb407a3ab9f88f5e2916" +
				"9eeafd4e0322fde6590ae093ce8feeae98b622caa7556ff426c9e7a404ce69355830a7a67767a76c7d9a97b84bfcf50a02f75c235d2f9c671138049ffc7c8055" +
				"926c03eb3fb87f9695185a42eca9a41655873d30a6b3bf428b246223484a8ff61ee3eeafff10e99c2c13a76284d063e56ab711a35a85b5383df81da23490f66e" +
				"8ea3fcba067f5530c6541c2b8f74717c35023e7b9b3956c3ee2ff84ba03ccf4b4b5321b9240895481bc6d63c1693c1847852f8e97f50a133532ac3ee1e52d464"),
			Hashed: true,
			Output: unhex("1e6818a41eb0ec7f1187a4762e4bc1daef7c99881deb630f46b9109234c73623"),
		},
	},
	described.MLKEM1024: {
		{
			Source: "Wycheproof mlkem_1024, test 2",
			Kind:   described.KindMLKEM1024,
			Secret: unhex("7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d8626ed79d451140800e03b59b956f8210e556067407d13dc90fa9e8b872bfb8f"),
			Public: unhex("61b95ec8c32ae85ad7a17ae5b9c2dfb083e05f767da3ba9a0a8092ea6b4cbf7a"),
			Input: unhex("c9bead6b0c1114389bd4761c73ab9095b5809daac9f659bb564af226173052a4a3e7f2e5fd47d2b02aaeb5189e06b9f4ae98b619cb63efbdf3989a94b36e8ea0" +
				"d700633b950a0ae2a78ed92e85c85c70e13e626fb263fac9681521c3ab22fdab29173c9616a2b037083ff7b2e019b5bcde068fac257ef8f12798411693c1bdcc" +
				"65420997a513a8a69502620be8e4ce7362e412a76cf51c1f2433f1ab64ce0e5d2f56d7c9ade994d0e35d0aeef3ac515b482437664d8c1d25e5a5507cf80f970d" +
				"3ea7226aacdc457cbf88a0560aa35bb2c5c455867e2159910a35810befe3aa10eb04d8d57147cb8f66d2b070bac43d1f1ffdd57a9399951f64965727bcb9f66a" +
				"d42309dafc799c1c540af1af93eff68a86d61f5115db662dee7ac9a362677762b6a164a0fa0a4d859e4b8c8dbdb4e183f5e6808fc52229650caf7cf3e16de3d8" +
				"95d148c35448ab8c2753c9831b24bd4921497eaa192565cabfd83c0c68dfe7d392abf5e5e6f84bb9f5af4b7118c0b558105f9c10c9b6d70682e1de6e0689d710" +
				"6a6374bd34aed7229e6cb356f2ea65e680ce7b1e2c3704e116a38542826e8a001141baf2e34de37a03040986d4c0cd5d57f0701ce930986fd9525b58e2e59f45" +
				"b8dd04c0f35b0f47970cc67079618eb9e6d91e9b0f8c6d2e165cf448a2c1ebf71b6537e0f375185dfafef698b6239bb35580b315bcb5ed408c357f192def89bc" +
				"1b75cdd6aae8b5faf0c3e13803f6bdfa76fb407fcbda790c329b3ee42fd3d3b03bd5003f0bc432f7ba39631112452dfd12140433ff8980eb6a526ba85ef99477" +
				"378b4dc76635a5cd5040e43b8c1fe4ee5e158e423bfc0c893c1d5613bed08da719c9073184eeb36fd357380fb1873d8cbd36e2255e985b1b76819743a6584a9b" +
				"3a580996c9c2eed9bbbfff78a6204b5e5eeae5f4efd2660078b37f0754ab5da862e666b145b5f23f3d0977799929dfa2aedda53d152eda1d0d0e4ea43f6ed889" +
				"bb965eefe0a7c685bb36770eaa874242c0e229cf6ce56defa5aeae64d0c40dda8aa26eaeb31458f070a3bc72e1619ee9b5f642291c56df5b7e43db6c802fc74f" +
				"4f3f9b5c0d355c3aae520aa31229d12f3e7cc5d48e691191a36b283765f4133f0ff1fe2f01c6648b2798a74eb5d842a248f524a7e7f8974211297b44f0dd19f3" +
				"86e86be6ba782de77fde887226f37a1c77bc5eddeee5bf46b67fb7478d559865f262caa84d64a8ce59e4df0818e14861526acd3483600f3dae7959d35d8181ca" +
				"6a81ce791be00752da7759446a2cfbe00b8248b93491debd520220b755416d2fc6b7c8af2ff75e5bcbb8e7537380a5721c77484957a69271d8bafce0f166735f" +
				"f869232de5d381afbf0e44d69172b79a35191949de09703b94222b13c385c6081e6d2ede1e57fe184ef8f60196b9a3a7b7eff7497191ca8741b5a01e79cb69a6" +
				"1142e6f5d080fbb3e566f79e146f75c8a1097860841b4747df604dba954e4a8d9e0dccc1f609d05cf8d31219ecd60c312de684552f09227cb829291c645732c5" +
				"f5d4d711639f42a23080aa34fe1420f219bd6bcf4e3b29b9d02293b2da81383e0a51d2bb186c7b0a211a0cd63acbfc0210401e985d436b3803d5601c24136afd" +
				"1562522e45b457cb439178be4a87cce40346d34ae0f3c39103c8a3ebc9c86c8db8fc5561eb0f3a143d4e9fe93a5cba6f6fcae5650d3f43d2668a5956c922893b" +
				"816647ded0afc052a6c3d9d01a3d3af0f1ba807ff10491e131dc15e165cfd0650a1f2c313d7956141edcc61cb90e9e7abf2fe35fc9dc1bde88939fa11f7bbe3e" +
				"b4d8ffa643b074d74f45113586e9bb12060003d71941f2da098dc0e96cad3255cf328ea2d3308c1f4585e89c613c426b7e798e1ec4e98fe6c71e7491f5eca0cd" +
				"05115861bd160e3fe73a58a026ba538e0e256b92f1d7a2497570594856860ffd06b601ac575592f4ac612b5de7866042123ebc60c55768e3a7600a3260551f2b" +
				"ea22bbf6b6c8246e80f9125c4bb9db354dd64ae695c15f5071f4abb9639207cac7331b310f69a05f54b995de529a023f033b055db95287a14ba30a7cc526bb72" +
				"4c417fba290636a996f286e3e9e939e4fe1c398b5c6599959d0b4445a327ec469a1653cfaea7552cecec085ccaa68938ae4ac3c424f7e480439ebd2c992b5f6f" +
				"95ec244b657dbdeaa9ae110aaf4d68bf4e27410d43ceef3e88e9c717dd44c9ee"),
			Hashed: true,
			Output: unhex("a24ce2eca9d024096cb1746b39d3e79d81d59c8ea623a92a35f955272ddc73b9"),
		},
	},
	described.ECDHP256: {
		{
			Source: "Wycheproof ecdh_secp256r1_ecpoint, test 1",
			Kind:   described.KindP256,
			Secret: unhex("0612465c89a023ab17855b0a6bcebfd3febb53aef84138647b5352e02c10c346"),
			Public: unhex("04b59cc7671dd6a6b836e2cd9396ef5618b2ff3e8192dd7c9d36c27cb56ff916614826d9dbd5ae64cdd8575068bbc9e63f231ea57ed03248844c09331b95392053"),
			Input: unhex("0462d5bd3372af75fe85a040715d0f502428e07046868b0bfdfa61d731afe44f26ac333a93a9e70a81cd5a95b5bf8d13990eb741c8c38872b4a07d27" +
				"5a014e30cf"),
			Output: unhex("53020d908b0219328b658b525f26780e3ae12bcd952bb25a93bc0895e1714285"),
		},
	},
	described.X25519: {
		{
			Source: "RFC 7748 section 6.1, Alice",
			Kind:   described.KindX25519,
			Secret: unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
			Public: unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
			Input:  unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
			Output: unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
		},
	},
}
