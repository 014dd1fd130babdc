// Compiled functions as CPython calls its own (METH_FASTCALL). A binding library's dispatcher,
// which knows overloads, defaults and keywords, costs a tiny call as much as its kernel: these
// functions have positional arguments of a few kinds, and say so.
//
// What is of another kind is a TypeError, and a flag is True or False and nothing else: the wrapper
// has the words for it.
#pragma once
#include <cxxabi.h>

#include <limits>
#include <string>
#include <utility>

#include "adapter.h"

namespace plainformer {

[[noreturn]] inline void refuse_kind(const char* expected) {
    // What an argument's own methods raise goes on, Ctrl-C in one of them among it.
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError) &&
        !PyErr_ExceptionMatches(PyExc_OverflowError))
        throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error((std::string("expected ") + expected).c_str());
}

// How an argument of type T is read, and what the stub calls it.
template <typename T>
struct Argument;

template <>
struct Argument<py::handle> {
    static constexpr const char* name = "object";
    static py::handle of(PyObject* object) { return object; }
};

template <>
struct Argument<const ArrayView&> {
    static constexpr const char* name = "object";
    static ArrayView of(PyObject* object) { return array_view(object); }
};

template <>
struct Argument<const Lent&> {
    static constexpr const char* name = "object";
    static Lent of(PyObject* object) { return {array_view(object), object}; }
};

template <>
struct Argument<const ArrayList&> {
    static constexpr const char* name = "object";
    static ArrayList of(PyObject* object) { return ArrayList(object); }
};

template <>
struct Argument<bool> {
    static constexpr const char* name = "bool";
    static bool of(PyObject* object) {
        if (object == Py_True || object == Py_False) return object == Py_True;
        refuse_kind("True or False");
    }
};

template <>
struct Argument<double> {
    static constexpr const char* name = "float";
    static double of(PyObject* object) {
        const double number = PyFloat_AsDouble(object);
        if (number == -1 && PyErr_Occurred()) refuse_kind("a number");
        return number;
    }
};

// Whole numbers, NumPy's among them, that fit T.
template <typename T>
struct IntegerArgument {
    static constexpr const char* name = "int";
    static T of(PyObject* object) {
        const py::object index = PyLong_CheckExact(object)
                                     ? py::reinterpret_borrow<py::object>(object)
                                     : py::reinterpret_steal<py::object>(PyNumber_Index(object));
        if (!index) refuse_kind("a whole number");
        if constexpr (std::is_same_v<T, uint64_t>) {
            const uint64_t number = PyLong_AsUnsignedLongLong(index.ptr());
            if (number == ~uint64_t{0} && PyErr_Occurred()) refuse_kind("a number of 64 bits");
            return number;
        } else {
            int overflow = 0;
            const int64_t number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
            if (overflow || number < int64_t{std::numeric_limits<T>::min()} ||
                number > int64_t{std::numeric_limits<T>::max()})
                refuse_kind("a smaller number");
            return static_cast<T>(number);
        }
    }
};
template <>
struct Argument<int> : IntegerArgument<int> {};
template <>
struct Argument<int64_t> : IntegerArgument<int64_t> {};
template <>
struct Argument<uint32_t> : IntegerArgument<uint32_t> {};
template <>
struct Argument<uint64_t> : IntegerArgument<uint64_t> {};

template <auto f>
struct Function;

template <typename... A, py::object (*f)(A...)>
struct Function<f> {
    static PyObject* call(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
        try {
            if (count != sizeof...(A)) refuse_kind("another number of arguments");
            [[maybe_unused]] CallScope scope;
            return apply(arguments, std::index_sequence_for<A...>()).release().ptr();
        } catch (py::error_already_set& error) {
            error.restore();
            return nullptr;
        } catch (abi::__forced_unwind&) {
            throw;  // this thread is being ended
        } catch (...) {
            translate_exception();
            return nullptr;
        }
    }

    // "add(arg0: object, arg1: object) -> object": what the stub is written from.
    static std::string signature(const char* name) {
        std::string text;
        int i = 0;
        ((text += (i ? ", arg" : "arg") + std::to_string(i) + ": " + Argument<A>::name, ++i), ...);
        return std::string(name) + "(" + text + ") -> object\n";
    }

  private:
    template <size_t... i>
    static py::object apply([[maybe_unused]] PyObject* const* arguments,
                            std::index_sequence<i...>) {
        return f(Argument<A>::of(arguments[i])...);
    }
};

template <auto f>
void def(py::module_& module, const char* name) {
    static const std::string signature = Function<f>::signature(name);  // kept by CPython
    static PyMethodDef definition{
        name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Function<f>::call)),
        METH_FASTCALL, signature.c_str()};
    const py::object module_name = module.attr("__name__");
    module.attr(name) = py::reinterpret_steal<py::object>(
        PyCFunction_NewEx(&definition, nullptr, module_name.ptr()));
}

}  // namespace plainformer
