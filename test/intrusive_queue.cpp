#include <boost/test/unit_test.hpp>
#include <deque>
#include <random>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/operation.hpp>
#include <vector>

namespace {

class node : public rung::detail::operation {
public:
    node() noexcept : operation(&node::ignore, rung::detail::level::normal) {}

    bool queued = false;

private:
    static void ignore(operation*, action) {}
};
using queue = rung::detail::intrusive_queue<node>;

}  // namespace

BOOST_AUTO_TEST_CASE(an_empty_queue_has_no_front_and_gives_null) {
    queue q;
    node n;
    BOOST_TEST(q.empty());
    BOOST_TEST(q.front() == nullptr);
    BOOST_TEST(q.pop() == nullptr);
    BOOST_TEST(!q.remove(&n));
}

BOOST_AUTO_TEST_CASE(a_node_taken_out_can_be_queued_again) {
    queue q;
    node n;
    for (int i = 0; i < 3; ++i) {
        q.push(&n);
        BOOST_TEST(q.front() == &n);
        BOOST_TEST(q.pop() == &n);
        BOOST_TEST(q.empty());
    }
}

BOOST_AUTO_TEST_CASE(push_works_after_the_last_node_was_removed) {
    queue q;
    node a;
    node b;
    node c;
    q.push(&a);
    q.push(&b);
    BOOST_TEST(q.remove(&b));
    q.push(&c);
    BOOST_TEST(q.pop() == &a);
    BOOST_TEST(q.pop() == &c);
    BOOST_TEST(q.pop() == nullptr);
    q.push(&a);
    BOOST_TEST(q.remove(&a));
    BOOST_TEST(q.empty());
    q.push(&b);
    BOOST_TEST(q.pop() == &b);
}

BOOST_AUTO_TEST_CASE(take_moves_everything_and_leaves_the_other_empty) {
    queue from;
    queue to;
    node a;
    node b;
    node c;
    from.push(&a);
    from.push(&b);
    to.take(from);
    BOOST_TEST(from.empty());
    BOOST_TEST(from.pop() == nullptr);
    to.push(&c);
    BOOST_TEST(to.pop() == &a);
    BOOST_TEST(to.pop() == &b);
    BOOST_TEST(to.pop() == &c);
    from.push(&a);  // the one that was emptied works on
    BOOST_TEST(from.pop() == &a);
    to.take(from);
    BOOST_TEST(to.empty());
}

BOOST_AUTO_TEST_CASE(random_operations_agree_with_a_deque) {
    std::minstd_rand random(2);
    std::vector<node> nodes(40);
    queue q;
    std::deque<node*> model;
    for (int i = 0; i < 100'000; ++i) {
        node& n = nodes[random() % nodes.size()];
        switch (random() % 3) {
            case 0:
                if (!n.queued) {
                    n.queued = true;
                    q.push(&n);
                    model.push_back(&n);
                }
                break;
            case 1: {
                node* const expected = model.empty() ? nullptr : model.front();
                BOOST_REQUIRE(q.front() == expected);
                BOOST_REQUIRE(q.pop() == expected);
                if (expected != nullptr) {
                    model.pop_front();
                    expected->queued = false;
                }
                break;
            }
            default:
                BOOST_REQUIRE(q.remove(&n) == n.queued);
                std::erase(model, &n);
                n.queued = false;
                break;
        }
        BOOST_REQUIRE(q.empty() == model.empty());
    }
}
