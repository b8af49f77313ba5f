//! A client's stream on which faults happen to what is written.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;
use super::metered_stream::MeteredStream;
use crate::faults::FaultPlan;

/// How often in a second bytes are let through at a limited rate.
const PORTIONS: u32 = 20;

/// The stream.
#[derive(Debug)]
pub(super) struct FaultyStream {
    /// Where bytes go.
    stream: MeteredStream,
    /// What happens to them; none: nothing.
    plan: Option<Box<FaultPlan>>,
    /// Records a reset, and delays by faults.
    activity: Rc<Activity>,
    /// Until when nothing is written.
    gate: Option<Pin<Box<Sleep>>>,
    /// Something was read since the last write, so that the next is another answer.
    has_read: bool,
    /// That answer has a wrong byte, which was not written yet.
    corrupts: bool,
    /// Bytes written.
    written: u64,
}

impl FaultyStream {
    /// Takes over a stream.
    pub(super) fn new(
        stream: MeteredStream,
        plan: Option<FaultPlan>,
        activity: Rc<Activity>,
    ) -> Self {
        Self {
            stream,
            plan: plan.map(Box::new),
            activity,
            gate: None,
            has_read: false,
            corrupts: false,
            written: 0,
        }
    }

    /// Returns whether a fault, or a timeout, resets it.
    pub(super) fn is_reset(&self) -> bool {
        self.activity.is_reset()
    }

    /// Writes nothing for a while.
    fn close_gate(&mut self, time: Duration) {
        if !time.is_zero() {
            self.gate = Some(Box::pin(sleep_until(Instant::now() + time)));
        }
    }

    /// Waits until the gate is open.
    fn poll_gate(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(gate) = &mut self.gate {
            let polled = gate.as_mut().poll(context);
            self.activity.note_gated(polled.is_pending());
            ready!(polled);
            self.gate = None;
            self.activity.note_moved();
        }
        Poll::Ready(())
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.has_read |= buffer.filled().len() > before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(mut plan) = self.plan.take() else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let polled = self.poll_write_by(&mut plan, context, bytes);
        self.plan = Some(plan);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl FaultyStream {
    /// Writes as much as the faults allow, with the changes that they make.
    fn poll_write_by(
        &mut self,
        plan: &mut FaultPlan,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.has_read) {
            self.close_gate(plan.next_delay());
            self.corrupts = plan.corrupts_next();
        }
        ready!(self.poll_gate(context));
        let left = plan
            .reset_after
            .map_or(u64::MAX, |after| after.saturating_sub(self.written));
        if left == 0 {
            self.activity.reset();
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let portion = plan.rate.map_or(u32::MAX, |rate| (rate / PORTIONS).max(1));
        let most = usize::try_from(left.min(portion.into())).unwrap_or(usize::MAX);
        let bytes = bytes.get(..most).unwrap_or(bytes);
        let written = if self.corrupts {
            let mut wrong = bytes.to_vec();
            let place = plan.corrupt(&mut wrong);
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &wrong))?;
            self.corrupts = place >= written;
            written
        } else {
            ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?
        };
        let count = u32::try_from(written).unwrap_or(u32::MAX);
        self.written += u64::from(count);
        if let Some(rate) = plan.rate {
            self.close_gate(Duration::from_secs(1) * count / rate);
        }
        Poll::Ready(Ok(written))
    }
}
