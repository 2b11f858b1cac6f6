/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Public keys, and tokens with the claims {"host": "h", "port": 1} that PyJWT 2.6 has signed with
 * their private keys, or with the secret OCT_SECRET.
 */
#ifndef WEBSOCKSY_TESTS_JWT_TOKENS_H
#define WEBSOCKSY_TESTS_JWT_TOKENS_H
/* clang-format off */
#define OCT_SECRET "0123456789abcdef0123456789abcdef"
#define RSA_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmk9Se2H8NjABovtEp1nJ\n" \
	"tN4vwwgU0YPif33kR8EIKoojm6pQ8366m+0du/gWjs4pMRoaabjYbonkYAiN9PA9\n" \
	"R4bKgwUIOIC8kWDl2m8GOnKydgysV/HumxwbV8aLceIHOgJkUnXhp1dnHvZBFXMM\n" \
	"lTh5pKqnIwJXbBEbcitT9ajaDxDrjdcsUQCtXatgLb2GTcscSl6KD8bDLo1l/R3R\n" \
	"/eoOY696dy2yZakPsS1fV9cnbmLC3BwsesUbD+JD4+jJZXMvgRu8Rfj8BIjg5mm+\n" \
	"o+jsgzLAl12pBg8r45XzCODKlFfd0stvhDGYMFlFabVK4KgaafDBJWG9g5IiToaJ\n" \
	"XwIDAQAB\n" \
	"-----END PUBLIC KEY-----\n"
#define P256_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENTS/WHyTAka3MrAuoav66S3TCuVF\n" \
	"iigl+pea0hfSFDXI1OW2ZeZ9Wkmiutq9JbQ1HexO6ThYvqoaC9EgamLr5g==\n" \
	"-----END PUBLIC KEY-----\n"
#define P384_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEzdna5BcOXm20ZxZ+fxSWZdFbOC1CVfyj\n" \
	"+/cnyPHabtrxiHD46ZkRxKd/fLDzgLpWlLhVeEAAGKr6TjmIEJkPn7Jp278seFQw\n" \
	"b3cPPoraT6OZPVclhQHu//ZDefnNGqop\n" \
	"-----END PUBLIC KEY-----\n"
#define P521_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBPQ8BrvT8njAt94lpj1hzMFCrheh8\n" \
	"iNxfdYkHTWEla7SGdfVpcNNsw8nR7WaBwsFFaU765CWC8zK4K5vtTlj817YApnQO\n" \
	"0dV3bPwBI0X6vqI+6br16lk29tAsVbBsXGfgZEu9KUdwG96oZGpx2iPFn0Q07oS+\n" \
	"ogrTGEzSFcMqZtdbp70=\n" \
	"-----END PUBLIC KEY-----\n"
#define ED25519_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MCowBQYDK2VwAyEAXL8x5OIvf9Mh7JyGUrVrdLqZ4l5fYb/rLtpLPFRcNEc=\n" \
	"-----END PUBLIC KEY-----\n"
#define ED448_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MEMwBQYDK2VxAzoAdab3ajFIZqw9MrOS3nelMBgwIa52cTYgYT3L40hfncWokP3+\n" \
	"cHO35jNer6kxm97uwBh3drTzJhMA\n" \
	"-----END PUBLIC KEY-----\n"
#define RSA_JWK \
	"{\"kty\":\"RSA\",\"kid\":\"rsa\",\"n\":\"mk9Se2H8NjABovtEp1nJtN4vwwgU0YPif33kR8EIKoojm6pQ8366m-" \
	"0du_gWjs4pMRoaabjYbonkYAiN9PA9R4bKgwUIOIC8kWDl2m8GOnKydgysV_HumxwbV8aLceIHOgJkUnXhp1" \
	"dnHvZBFXMMlTh5pKqnIwJXbBEbcitT9ajaDxDrjdcsUQCtXatgLb2GTcscSl6KD8bDLo1l_R3R_eoOY696dy" \
	"2yZakPsS1fV9cnbmLC3BwsesUbD-JD4-jJZXMvgRu8Rfj8BIjg5mm-o-jsgzLAl12pBg8r45XzCODKlFfd0s" \
	"tvhDGYMFlFabVK4KgaafDBJWG9g5IiToaJXw\",\"e\":\"AQAB\"}"
#define P256_JWK \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"P-256\",\"x\":\"NTS_WHyTAka3MrAuoav66S3TCuVFiigl-pea0hf" \
	"SFDU\",\"y\":\"yNTltmXmfVpJorravSW0NR3sTuk4WL6qGgvRIGpi6-Y\"}"
#define P384_JWK \
	"{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"P-384\",\"x\":\"zdna5BcOXm20ZxZ-fxSWZdFbOC1CVfyj-_cnyPH" \
	"abtrxiHD46ZkRxKd_fLDzgLpW\",\"y\":\"lLhVeEAAGKr6TjmIEJkPn7Jp278seFQwb3cPPoraT6OZPVclhQHu" \
	"__ZDefnNGqop\"}"
#define P521_JWK \
	"{\"kty\":\"EC\",\"crv\":\"P-521\",\"kid\":\"P-521\",\"x\":\"AT0PAa70_J4wLfeJaY9YczBQq4XofIjcX3WJB01" \
	"hJWu0hnX1aXDTbMPJ0e1mgcLBRWlO-uQlgvMyuCub7U5Y_Ne2\",\"y\":\"AKZ0DtHVd2z8ASNF-r6iPum69epZ" \
	"NvbQLFWwbFxn4GRLvSlHcBveqGRqcdojxZ9ENO6EvqIK0xhM0hXDKmbXW6e9\"}"
#define ED25519_JWK \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"sig\",\"x\":\"XL8x5OIvf9Mh7JyGUrVrdLqZ4l5fYb_rLtpLPF" \
	"RcNEc\"}"
#define ED448_JWK \
	"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"use\":\"sig\",\"x\":\"dab3ajFIZqw9MrOS3nelMBgwIa52cTYgYT3L40hf" \
	"ncWokP3-cHO35jNer6kxm97uwBh3drTzJhMA\"}"
#define OCT_JWK \
	"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\",\"kid\":\"oct\",\"alg\":\"HS" \
	"256\"}"
#define RSA_RS256_TOKEN \
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.ZpvTk3_QV5k4NMrDJt" \
	"EeIdE4nLcrj2GrBIO0zcbLnODRC5cT9vShBv8qh4MYpo64pO6KSi8TGOvcttd7TwBmC4aiowxUedrmGey6G4" \
	"ozeWWTsJ4g4N6d5HkQoluX9CnB03zbAPxIenmmlR_uOqx4m_rvjp_X4czZwjUon3DNpOHZOWO0IaOcUSsEF5" \
	"CRrCpwj1XANXgpkVJMLjbJViHwaoGAuLVO3Ms7MWwAYkjc1fyJ8C3I7Prm7NCsvIqhsMoyMo6SaYG459SL__" \
	"IX7XB9M6UAXXcCEyg4CnoNegaEK8UGqRhcCOGrdNH3WLOxPi959SSTglImqaF_ySOKJhSEOQ"
#define RSA_RS384_TOKEN \
	"eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.hl6YZjtcTqAwwe-jqs" \
	"h_mEI_2ytKGnm7RYDCjx9sE5kJd2R9UCNVNbWsWMVJExlJDpI95pC4ySuFyDqIWGd9jmHjwNmWcQckvelKFI" \
	"pZ2wJxyTk-ncggzqLktLFOOSJwRXjrb9wWlD1tz0xdb5qA7qrV4y00H4Rd-4GCCBYjNaAF-hM6JAwhSNltHK" \
	"8Z55quzmE6cstHN512XqbDurqFfMOVrSSemoms8NUPEtWqJO8sD9CsdeHRyCjzHuAzuAIdXYuohKpBJm3alQ" \
	"KVZemdow3MtXkLTzDwHTABBGkBSp8KtP3uhgkYphC7gAlPtqA16_ema3Rymmcv2RJe3qCCbA"
#define RSA_RS512_TOKEN \
	"eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.RWFWMtdaPQUUoJEHSJ" \
	"bIzdbXpUMqnp7ilhHk_z_rY3cCMRUiyN0mqIcDVXaxInuOKfCeuuZLyMUX1hrjBd3vB4Sg3gDJpt0y-EhmZU" \
	"A4Xbo9nsIqMAPCQRDDSt2hN6zpCQZIEioNENybG-KTzTUJnDbGLr8OhEtYZN6DjqkeMSZm-8l6OxxwfFEEeJ" \
	"dtYTmwSIUuBqSO4fRCgIFjtA7QYY7OFZx3w_WmKweumeeUEKPgrsxk8UpphPzIHxZOd8tF2cq46iJlsDzWLH" \
	"WXknyt3_yviOYwGebKHUYwFFFM0I0193NGyX_-EMzPVCE_utmR3ga5-74lvaEKjQ4V5oUtKw"
#define RSA_PS256_TOKEN \
	"eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.DyBYDspJVHjdIl12h6" \
	"deqpSAHqyvcmk5HCm98EVQZS-zHE-TXFlyutRvEpSyFVVHme8Vwo4DDhv5gGAef0q9R7fGy_QWUk5BiO50-I" \
	"ZUf2MIw1jl9Wy6w4xwlcRcQ_4h9YyPGIcbZo8nc73_Do7pFiRsUgOOzNU949iWcYm2lRL6iUkHODn_7InMCT" \
	"1XH0B8TgoN-VchiJ7hIKU7qu3gxXH0RcDzpw_rUF5QoeQ_7o0W6JFjxkohtNzbrtSXrToUO5HDuUOI3b2umZ" \
	"xbVmtpJheooS_2j6lMOM6XeXVlvEDh9Ow1KOkOJUz7Vc6IaomFYE3yw-d7pIpOnmQ78ZpQWg"
#define RSA_PS384_TOKEN \
	"eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.Gnn3dIdg9d9gRqkm6e" \
	"1GqZgE2pflkQ6cKrBYDG2BcBoK0giOQ1k5-WVK_cnrejChBxikY0oDWZiO6lz21_Wq0KNr8FOO5RTExfaz5J" \
	"pzHIad4Cpx7LUZMK-as8CpBTXQ7kpRfoQwTsvlD6qVaDiLdwzbYpqrvLRVvnFbV2iG0djsZHcpoPLH1BGVqg" \
	"t5n6Iy1zgfw-xxsoNkWjGwuNcPWNNolR_RL56XFKG9bf2FJgDm-ANKVbZcZ210FAEKgYsNKApt3IFvnPI-17" \
	"n0bYTZF3vvOaeMTKnfXUIH4qzwBgxfK4aGlpmjojUbHCpdBwkXJ18EPQ6B6ohLz1oEB6B2qg"
#define RSA_PS512_TOKEN \
	"eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.hKVTSSumKJjMQ6xbmP" \
	"GGfItEUc3Mj3KyiVLv6Ih2puInOeJQMffFOhadjNvP1Wv5wZnsRiiG7gLIdMnHtqj4YSqTSATGB5O4dfHFJz" \
	"DYX0BWn5z8YfK0Bw8Q2T7WbH1DvZG9B0g4KnRv5Hx37AMu7Aha9SWODjGV5BSEqmpmGtlsI_Jwnn6OKYZATj" \
	"DjBeY6KgQs6qLgSWt2jpFyIrBpwDui7gj5LtcJwIi2jZgPelfs0Ag0zXYGBixjT5K0C_XiKxtgLLBSRRK0R7" \
	"Cp4oG6UNdk6f_J5wnbMKSPRLHRyX8fAPOOTBFyH1c_jRXAtnAg3xCW5YLLLa1BkfxR9JIHZA"
#define P256_ES256_TOKEN \
	"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.XzLxAAYr15hatfh6NO" \
	"_Qh_Noo4-sFcLTwLUPcz_kFXtBDH8xJv6aAcXqXdRNGrrVBxRA1bkSSRhNwBSymhezjA"
#define P384_ES384_TOKEN \
	"eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.UaVYG8nrGr9zCC074W" \
	"6p5F7o7RuV0s_QsIZtl0NaFbzTK5_22HvLQ8kDd7z9A4FpzMmxEAA01aM7qKm3YBYw2Y7egITFhgGBlL8bxu" \
	"IG_SlRA--YE2ltcwtBeXJRXfL-"
#define P521_ES512_TOKEN \
	"eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.ATQV2cwrO1nF-zfj9M" \
	"lmR6na7cCtJOfYn0Xxt8PLI9MfETLVWNhMO9QmVT4DaxDg561MfHccGydw1-V8wLAMGQ7UAdsnGKm_wPSoXL" \
	"kQorzv4StV9EXKltO-fF5cgeNNevLmw9j8r0E0nGDJxsTw5x9WogFxQdz_c3lcW3jvPnzovFC2"
#define ED25519_EDDSA_TOKEN \
	"eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.eV18f2-AG539NkJ7ve" \
	"A1jPyPPlxER1NBM1s8n24Z0dOq2oOtn3-8-8OZZNVnpnYPio5vwBNqLXvaDYdGgVAXAA"
#define ED448_EDDSA_TOKEN \
	"eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.5BBDiOOsAV1qcJZT-e" \
	"GZByl_HVf0Vz1_z6QQQ8AXKCWCGphPKVZc_d0wctuANNvTfDcKusZ66JyAAk2nbkDg-4jonksk8ipjLPIvKM" \
	"MifkuFaPhniIUwtPdeMUWg9Q8ye_GTtbSqCpo6GbHKwu2D3CgA"
#define OCT_HS256_TOKEN \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.jglPDrfMXJQyqp4gdV" \
	"4AQX8HcutVvrEDIQ2Zq1vye_Y"
#define OCT_HS384_TOKEN \
	"eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.G-0eH60_mx5Jpw0BdE" \
	"5LKzoWliWDx-IsAbCSRRWKrTdNfCQf2PxZN3dNDPMKEGTt"
#define OCT_HS512_TOKEN \
	"eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.Ub-6iHaBT40-cijAUn" \
	"qkL_9TOBfaJabFungGRcpZNOqPpphVfGn8hHJoWKV9SFd66mgHDDDgpw29e0wRMLGyWQ"
/* HS256 with the text of RSA_PEM as its secret */
#define CONFUSED_TOKEN \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjogImgiLCAicG9ydCI6IDF9.GlY0TGms-3JEpv" \
	"q_DQ4d2fg5IMWnRF-p5xVtVf3dWUs"
/* of the key P256_PEM */
#define P256_CERTIFICATE \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBBjCBraADAgECAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAWswIBcNMjAw\n" \
	"MTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWswWTATBgcq\n" \
	"hkjOPQIBBggqhkjOPQMBBwNCAAQ1NL9YfJMCRrcysC6hq/rpLdMK5UWKKCX6l5rS\n" \
	"F9IUNcjU5bZl5n1aSaK62r0ltDUd7E7pOFi+qhoL0SBqYuvmMAoGCCqGSM49BAMC\n" \
	"A0gAMEUCIF/f6adQ09kJQ/Vocy/lqFN8j7zq44HXJewrLGACx7gMAiEA6LE0GfC2\n" \
	"rFprlzRbcy4zZFEfQ4hcU7k4asVXa8gqR4U=\n" \
	"-----END CERTIFICATE-----\n"
/* 1024 bits */
#define SMALL_RSA_PEM \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCuYiNmOKIPkn4GfB1Vjiy0gRTA\n" \
	"io82s4X7xqUMEoENQ9rQ2w1bRfagBD+PDhnsY/K3Ikwl0PwubYeiYMUq658LDigT\n" \
	"OzgDAqZLF6uhJI1YIxZp2AUzuahUZ3issVCBOnlknyKhcdctRTr9x2Hm+uM0al+3\n" \
	"c7mMwdwjS4YYxvzmcQIDAQAB\n" \
	"-----END PUBLIC KEY-----\n"
#define SMALL_RSA_TOKEN \
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJob3N0IjoiaCIsInBvcnQiOjF9.Rur0xp_q0jHwD1Tzr2" \
	"fS4gKrIpfWkw8RZsS5Pp1-eSGnPFfwxMU3yGsC3axtqN1wfB8rSs6m-A7WVEilCqYG6h5Phmzr8oLrEdslys" \
	"i7fCScOKgprMIVbj7wpr2ptrX9nYGOHbUUfpPKOrDGKO8UDfMir89fKFzgTPta4vInYQc"
/* clang-format on */
#endif
