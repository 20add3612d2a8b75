//! The codec in a program without the standard library. It is linked and never run.

#![no_std]
#![no_main]

use sansse::{Decoder, Event, EventId, EventType, Frame, Limits, Step};

#[global_allocator]
static ALLOCATOR: emballoc::Allocator<65536> = emballoc::Allocator::new();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Keeps the function below in the program, which has no other use of it.
#[used]
static REACHED: fn(&'static str) -> bool = comes_back;

/// Whether a text that was encoded comes back from the decoder.
fn comes_back(text: &'static str) -> bool {
    let (Ok(id), Ok(event_type)) = (EventId::new(text), EventType::new(text)) else {
        return false;
    };
    let event = Event::new(text).with_type(event_type).with_id(id);
    let mut decoder = Decoder::new().with_limits(Limits::default().with_max_line(1000));
    decoder.handle_data(&Frame::new(&event).payload());
    decoder.handle_eof();
    while let Some(step) = decoder.poll_step() {
        if step == Step::Message {
            return decoder.message().into_owned().data == text;
        }
    }
    false
}
