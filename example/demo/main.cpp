/// One server source on two contexts, driven over loopback: bulk clients that keep it busy, and an
/// urgent one. `demo --help` says what can be asked of it.

#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "measure.hpp"
#include "options.hpp"
#include "report.hpp"
#include "serve.hpp"

namespace demo {

namespace {

void run(const options& o) {
    std::ofstream file(o.svg);
    if (!file) {
        throw std::runtime_error("cannot write " + o.svg);
    }
    std::cout << "bulk clients: " << o.measured.clients << ", urgent clients: 1, for about "
              << o.measured.seconds << " s\n\n"
              << std::flush;
    const comparison c = measure(o.measured);
    std::cout << table(c);
    if (!(file << picture(c) << std::flush)) {
        throw std::runtime_error("cannot write " + o.svg);
    }
    std::cout << "the urgent requests' latencies as a picture: " << o.svg << "\n";
}

}  // namespace

}  // namespace demo

int main(int argc, char** argv) try {
    const demo::options o = demo::parse(argc, argv);
    if (o.help) {
        std::cout << demo::help;
    } else if (o.serve != nullptr) {
        o.serve(demo::fixed_ports, [](demo::ports) { std::cout << demo::by_hand << std::flush; });
    } else {
        demo::run(o);
    }
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << "demo: " << e.what() << "\n";
    return EXIT_FAILURE;
}
