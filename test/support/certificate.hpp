#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <string>

namespace test {

/// A key, and a certificate for "localhost" that it has signed itself, in files that last as long
/// as the object.
class certificate {
public:
    certificate() {
        EVP_PKEY* const key = make_key();
        X509* const x = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
        X509_NAME* const name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
        X509_set_issuer_name(x, name);
        X509_set_pubkey(x, key);
        BOOST_REQUIRE(X509_sign(x, key, EVP_sha256()) > 0);
        std::FILE* const file = ::fdopen(descriptor_, "w");
        BOOST_REQUIRE(file != nullptr);
        BOOST_REQUIRE(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
        BOOST_REQUIRE(PEM_write_X509(file, x) == 1);
        BOOST_REQUIRE(std::fclose(file) == 0);
        X509_free(x);
        EVP_PKEY_free(key);
    }
    ~certificate() { ::unlink(path_.c_str()); }
    certificate(const certificate&) = delete;
    certificate& operator=(const certificate&) = delete;

    /// The file, which has both.
    const std::string& path() const noexcept { return path_; }

private:
    static EVP_PKEY* make_key() {
        EVP_PKEY_CTX* const c = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr);
        BOOST_REQUIRE(EVP_PKEY_keygen_init(c) == 1);
        BOOST_REQUIRE(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(c, NID_X9_62_prime256v1) == 1);
        EVP_PKEY* key = nullptr;
        BOOST_REQUIRE(EVP_PKEY_keygen(c, &key) == 1);
        EVP_PKEY_CTX_free(c);
        return key;
    }

    std::string path_ = "/tmp/rung-test-XXXXXX";
    int descriptor_ = ::mkstemp(path_.data());
};

}  // namespace test
