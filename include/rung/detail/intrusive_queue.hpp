#pragma once

#include <utility>

namespace rung::detail {

/// A first-in, first-out list of nodes linked by their member `next_`. Owns nothing.
template <class Node>
class intrusive_queue {
public:
    intrusive_queue() = default;
    intrusive_queue(const intrusive_queue&) = delete;
    intrusive_queue& operator=(const intrusive_queue&) = delete;

    /// Takes everything out of `other`. Precondition: this queue is empty.
    void take(intrusive_queue& other) noexcept {
        front_ = std::exchange(other.front_, nullptr);
        back_ = std::exchange(other.back_, nullptr);
    }

    bool empty() const noexcept { return front_ == nullptr; }
    Node* front() const noexcept { return front_; }

    void push(Node* node) noexcept {
        node->next_ = nullptr;
        if (front_ == nullptr) {
            front_ = node;
        } else {
            back_->next_ = node;
        }
        back_ = node;
    }

    Node* pop() noexcept {
        Node* const node = front_;
        if (node != nullptr) {
            front_ = static_cast<Node*>(node->next_);
            if (front_ == nullptr) {
                back_ = nullptr;
            }
        }
        return node;
    }

    /// Takes `node` out from wherever it stands: linear, for rare paths. False if it is not here.
    bool remove(Node* node) noexcept {
        Node* before = nullptr;
        for (Node* at = front_; at != nullptr; before = at, at = static_cast<Node*>(at->next_)) {
            if (at != node) {
                continue;
            }
            auto* const after = static_cast<Node*>(at->next_);
            if (before == nullptr) {
                front_ = after;
            } else {
                before->next_ = after;
            }
            if (back_ == node) {
                back_ = before;
            }
            return true;
        }
        return false;
    }

private:
    Node* front_ = nullptr;
    Node* back_ = nullptr;
};

}  // namespace rung::detail
