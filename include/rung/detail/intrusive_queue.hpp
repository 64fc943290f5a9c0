#pragma once

#include <rung/detail/operation.hpp>
#include <utility>

namespace rung::detail {

/// A first-in, first-out list of operations of type `Node`, linked by `next_`. Owns nothing.
template <class Node>
class intrusive_queue {
public:
    intrusive_queue() = default;
    intrusive_queue(const intrusive_queue&) = delete;
    intrusive_queue& operator=(const intrusive_queue&) = delete;

    /// Takes everything out of `other`. Precondition: this queue is empty.
    void take(intrusive_queue& other) noexcept {
        if (!other.empty()) {
            front_ = std::exchange(other.front_, nullptr);
            back_ = std::exchange(other.back_, &other.front_);
        }
    }

    bool empty() const noexcept { return front_ == nullptr; }
    Node* front() const noexcept { return static_cast<Node*>(front_); }

    void push(Node* node) noexcept {
        node->next_ = nullptr;
        *back_ = node;
        back_ = &node->next_;
    }

    /// The first, or null.
    Node* pop() noexcept { return empty() ? nullptr : pop_front(); }

    /// The first. Precondition: not empty().
    Node* pop_front() noexcept {
        operation* const node = front_;
        front_ = node->next_;
        if (front_ == nullptr) {
            back_ = &front_;
        }
        return static_cast<Node*>(node);
    }

    /// Takes `node` out from wherever it stands: linear, for rare paths. False if it is not here.
    bool remove(Node* node) noexcept {
        for (operation** at = &front_; *at != nullptr; at = &(*at)->next_) {
            if (*at == node) {
                *at = node->next_;
                if (back_ == &node->next_) {
                    back_ = at;
                }
                return true;
            }
        }
        return false;
    }

private:
    operation* front_ = nullptr;
    operation** back_ = &front_;  // where the next operation is to be hung
};

}  // namespace rung::detail
